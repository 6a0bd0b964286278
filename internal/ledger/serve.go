package ledger

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"vitrine.example/tlog"
)

const (
	immutable = "public, max-age=31536000, immutable"
	noStore   = "no-store"
	octets    = "application/octet-stream"
	plain     = "text/plain; charset=utf-8"
)

// Handler serves GET /checkpoint, /tile/… and /proof/<index>, and HEAD for each
// (C2SP tlog-tiles; /proof/ gives a C2SP tlog-proof under the newest
// checkpoint). It expects these paths at its root: strip what stands before.
//
// Only what the newest published checkpoint covers is served. Partial tiles and
// bundles of every width up to that of the checkpoint are there; they are cut
// from the widest one, so that it does not matter which of them Tessera has
// kept. Entry bundles are compressed for clients that accept gzip.
func (l *Ledger) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		path := r.URL.Path
		if r.URL.RawPath != "" {
			path = "" // nothing here needs an escaped slash
		}
		index, isProof := strings.CutPrefix(path, "/proof/")
		switch {
		case path == "/checkpoint":
			l.serveCheckpoint(w, r)
		case strings.HasPrefix(path, "/tile/"):
			l.serveTile(w, r, path[1:])
		case isProof:
			l.serveProof(w, r, index)
		default:
			l.fail(w, r, ErrUnknown)
		}
	})
}

func reply(w http.ResponseWriter, b []byte, typ, cache string) {
	h := w.Header()
	h.Set("Content-Type", typ)
	h.Set("Cache-Control", cache)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // the client may have gone
}

// fail answers with an error of this package.
func (l *Ledger) fail(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Cache-Control", noStore)
	if errors.Is(err, ErrUnknown) {
		http.Error(w, "not found, or not published yet", http.StatusNotFound)
		return
	}
	if r.Context().Err() == nil {
		l.o.Log.Error("serving the log", "path", r.URL.Path, "err", err)
	}
	http.Error(w, "the log cannot be read", http.StatusInternalServerError)
}

func (l *Ledger) serveCheckpoint(w http.ResponseWriter, r *http.Request) {
	b, err := l.Checkpoint(r.Context())
	if err != nil {
		l.fail(w, r, err)
		return
	}
	reply(w, b, plain, noStore)
}

func (l *Ledger) serveProof(w http.ResponseWriter, r *http.Request, index string) {
	n, err := strconv.ParseInt(index, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != index {
		w.Header().Set("Cache-Control", noStore)
		http.Error(w, "want /proof/<index>, in decimal and without leading zeros", http.StatusNotFound)
		return
	}
	b, err := l.Proof(r.Context(), n)
	if err != nil {
		l.fail(w, r, err)
		return
	}
	reply(w, b, plain, noStore)
}

func (l *Ledger) serveTile(w http.ResponseWriter, r *http.Request, path string) {
	want, err := tlog.ParseTilePath(path)
	if err != nil {
		w.Header().Set("Cache-Control", noStore)
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	t, p := l.tree()
	if want.Width > widthAt(p.size, want.Level, want.Index) {
		l.fail(w, r, ErrUnknown)
		return
	}
	if want.Level == tlog.EntriesLevel {
		l.serveBundle(w, r, t, want)
		return
	}
	e, err := t.tile(want.Level, want.Index)
	if err != nil {
		l.fail(w, r, damaged(err))
		return
	}
	b := make([]byte, 0, want.Width*hashSize)
	for _, h := range e.rows[0][:want.Width] {
		b = append(b, h[:]...)
	}
	reply(w, b, octets, immutable)
}

func (l *Ledger) serveBundle(w http.ResponseWriter, r *http.Request, t *tree, want tlog.Tile) {
	w.Header().Set("Vary", "Accept-Encoding")
	zip := acceptsGzip(r.Header.Values("Accept-Encoding"))
	full := want.Width == tlog.TileWidth
	if zip && full {
		if b := l.bundles.get(want.Index); b != nil {
			w.Header().Set("Content-Encoding", "gzip")
			reply(w, b, octets, immutable)
			return
		}
	}
	b, err := t.part(want)
	if err != nil {
		l.fail(w, r, damaged(err))
		return
	}
	if zip {
		if b, err = gzipped(b); err != nil {
			l.fail(w, r, err)
			return
		}
		if full && len(b) <= maxCachedBundle {
			l.bundles.put(want.Index, b)
		}
		w.Header().Set("Content-Encoding", "gzip")
	}
	reply(w, b, octets, immutable)
}

// part returns the first entries of a bundle.
func (t *tree) part(want tlog.Tile) ([]byte, error) {
	b, err := t.files.bundle(t.tileAt(want.Level, want.Index))
	if err != nil {
		return nil, err
	}
	end, err := bundleEnd(b, want.Width)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, want.Path(), err)
	}
	return b[:end], nil
}

func gzipped(b []byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(b); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// acceptsGzip reads Accept-Encoding (RFC 9110 section 12.5.3). Where it says
// nothing of gzip, what is meant by "*" is not used: identity always goes.
func acceptsGzip(header []string) bool {
	for _, part := range strings.Split(strings.Join(header, ","), ",") {
		coding, params, _ := strings.Cut(part, ";")
		if c := strings.ToLower(strings.TrimSpace(coding)); c != "gzip" && c != "x-gzip" {
			continue
		}
		q, weighted := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(params, " ", "")), "q=")
		if !weighted {
			return true
		}
		weight, err := strconv.ParseFloat(q, 64)
		return err == nil && weight > 0
	}
	return false
}
