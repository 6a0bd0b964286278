package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/projection"
	"vitrine.example/statement"
)

// rawStatement serves the envelope of a logged statement (DESIGN §4).
func (s *site) rawStatement(w http.ResponseWriter, r *http.Request, d digest.Digest) error {
	if _, err := s.Projection.Statement(r.Context(), d); err != nil {
		return err
	}
	b, err := s.publicBytes(r.Context(), d)
	if err != nil {
		return err
	}
	if fresh(w, r, d) {
		return nil
	}
	send(w, "application/json", b)
	return nil
}

// publicBytes returns a small public document.
func (s *site) publicBytes(ctx context.Context, d digest.Digest) ([]byte, error) {
	info, err := s.Content.Stat(d)
	if err != nil {
		return nil, err
	}
	if info.Class != content.Public {
		return nil, errNotFound
	}
	b, _, err := s.Content.ReadAll(ctx, d, statement.MaxSize)
	return b, err
}

// fresh sets the headers of something that is named by its digest, and answers
// 304 where the client has it already.
func fresh(w http.ResponseWriter, r *http.Request, d digest.Digest) bool {
	tag := `"` + d.String() + `"`
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", immutable)
	if !matches(r.Header.Values("If-None-Match"), tag) {
		return false
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}

// matches reports whether If-None-Match holds tag (RFC 9110 §13.1.2): a list,
// perhaps of tags that a proxy has weakened, or a star.
func matches(fields []string, tag string) bool {
	for t := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == tag {
			return true
		}
	}
	return false
}

// attach makes a browser keep the answer as a file and never show it.
func attach(w http.ResponseWriter, name string) {
	v := mime.FormatMediaType("attachment", map[string]string{"filename": name})
	if v == "" {
		v = "attachment"
	}
	w.Header().Set("Content-Disposition", v)
}

// nameOf returns what the newest release calls a file; its digest where none
// speaks of it.
func (s *site) nameOf(ctx context.Context, d digest.Digest) (string, error) {
	found, err := s.Projection.Releases(ctx, projection.Filter{Artifact: d, Limit: 1})
	if err != nil || len(found) == 0 {
		return d.String(), err
	}
	newest, err := s.Projection.Release(ctx, found[0].Statement)
	if err != nil {
		return "", err
	}
	return artifactName(newest, d), nil
}

// content serves public content. Content of another class is answered as if it
// were not there.
func (s *site) content(w http.ResponseWriter, r *http.Request, d digest.Digest) error {
	info, err := s.Content.Stat(d)
	if err != nil {
		return err
	}
	if info.Class != content.Public {
		return errNotFound
	}
	if fresh(w, r, d) {
		return nil
	}
	name, err := s.nameOf(r.Context(), d)
	if err != nil {
		return err
	}
	attach(w, name)
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(info.Size, 10))
	if r.Method == http.MethodHead {
		return nil
	}
	body, _, err := s.Content.Open(r.Context(), d)
	if err != nil {
		h.Del("Content-Length")
		h.Del("Content-Disposition")
		h.Del("ETag")
		return err
	}
	defer body.Close()
	if err := stream(w, body); err != nil {
		if errors.Is(err, content.ErrCorrupt) {
			s.Logger.Error("stored content is damaged", "sha256", d, "err", err)
		}
		panic(http.ErrAbortHandler) // the client sees an answer cut short, never a wrong one
	}
	return nil
}

// Streaming: the size of a piece, and how long a client may take for one.
const (
	piece     = 256 << 10
	pieceTime = 60 * time.Second
)

// stream copies so that the last piece is sent only after r has said io.EOF,
// and with it that the whole was what its digest says.
func stream(w http.ResponseWriter, r io.Reader) error {
	rc := http.NewResponseController(w)
	held, next := make([]byte, piece), make([]byte, piece)
	n, err := io.ReadFull(r, held)
	for err == nil {
		var m int
		m, err = io.ReadFull(r, next)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if err := sendPiece(rc, w, held[:n]); err != nil {
			return err
		}
		held, next, n = next, held, m
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	// io.ReadFull says the same of a short read whether r ended or not: ask r.
	if _, err := io.ReadFull(r, next[:1]); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the last byte: %w", err)
	}
	return sendPiece(rc, w, held[:n])
}

// sendPiece gives a slow client a new deadline. The network's time is the
// system's, not the node's.
func sendPiece(rc *http.ResponseController, w io.Writer, b []byte) error {
	if err := rc.SetWriteDeadline(time.Now().Add(pieceTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_, err := w.Write(b)
	return err
}
