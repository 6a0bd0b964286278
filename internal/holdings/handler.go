package holdings

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"vitrine.example/internal/content"
	"vitrine.example/internal/store"
)

// hashOf is how addresses name a log.
func hashOf(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

// Handler serves GET /<origin hash>/envelope/<index>: the envelopes that are held
// of others' logs (docs/spec/mirror.md). It expects these paths at its root, and
// gives every other request to next.
func (h *Holdings) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hash, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		number, ok := strings.CutPrefix(rest, "envelope/")
		if !ok || r.URL.RawPath != "" {
			next.ServeHTTP(w, r)
			return
		}
		h.serve(w, r, hash, number)
	})
}

func (h *Holdings) serve(w http.ResponseWriter, r *http.Request, hash, number string) {
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Access-Control-Allow-Origin", "*")
	head.Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "want GET, HEAD", http.StatusMethodNotAllowed)
		return
	}
	index, err := strconv.ParseInt(number, 10, 64)
	if err != nil || index < 0 || strconv.FormatInt(index, 10) != number {
		http.Error(w, "want the index of an entry", http.StatusNotFound)
		return
	}
	h.mu.Lock()
	origin := h.hashes[hash]
	h.mu.Unlock()
	raw, err := h.Envelope(r.Context(), origin, index)
	switch {
	case errors.Is(err, ErrUnknown) || errors.Is(err, content.ErrUnknown):
		http.Error(w, "not found, or not held yet", http.StatusNotFound)
		return
	case err != nil:
		if r.Context().Err() == nil {
			h.o.Log.Error("serving what is held", "origin", origin, "index", index, "err", err)
		}
		http.Error(w, "it cannot be read", http.StatusInternalServerError)
		return
	}
	head.Set("Cache-Control", "public, max-age=31536000, immutable")
	head.Set("Content-Type", "application/json")
	head.Set("Content-Length", strconv.Itoa(len(raw)))
	_, _ = w.Write(raw) // the client may have gone
}

// loadHashes remembers the logs of which something is held, members or not.
func (h *Holdings) loadHashes(ctx context.Context) error {
	return h.o.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		rows, err := tx.QueryContext(ctx, `SELECT origin FROM holding_log`)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var origin string
			if err := rows.Scan(&origin); err != nil {
				return err
			}
			h.hashes[hashOf(origin)] = origin
		}
		return rows.Err()
	})
}
