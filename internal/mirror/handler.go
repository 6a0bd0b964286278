package mirror

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"vitrine.example/tlog"
)

const (
	immutable = "public, max-age=31536000, immutable"
	noStore   = "no-store"
	octets    = "application/octet-stream"
	plain     = "text/plain; charset=utf-8"
)

// Handler serves POST /add-checkpoint and /add-entries, and GET
// /<origin hash>/checkpoint and /<origin hash>/tile/… (tlog-tiles): what the
// mirror checkpoint covers. It expects these paths at its root: strip what
// stands before.
func (m *Mirror) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		path := r.URL.Path
		if r.URL.RawPath != "" {
			path = "" // nothing here needs an escaped slash
		}
		switch path {
		case "/add-checkpoint":
			m.o.Pending.ServeAdd(w, r)
		case "/add-entries":
			m.serveAddEntries(w, r)
		default:
			m.serveCopy(w, r, path)
		}
	})
}

func (m *Mirror) serveAddEntries(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", noStore)
	// "When sending responses, mirrors SHOULD send an Accept-Encoding header."
	h.Set("Accept-Encoding", "gzip")
	if r.Method != http.MethodPost {
		h.Set("Allow", http.MethodPost)
		http.Error(w, "want POST", http.StatusMethodNotAllowed)
		return
	}
	// "The mirror SHOULD send these error responses without waiting for the
	// entire request body": or the server would read on before it answers.
	ctl := http.NewResponseController(w)
	_ = ctl.EnableFullDuplex()
	lines, err := m.addEntries(w, r)
	if err == nil {
		_ = ctl.SetReadDeadline(time.Now().Add(time.Second))
		if !ended(r.Body) && r.ProtoMajor == 1 {
			h.Set("Connection", "close")
		}
		_ = ctl.SetWriteDeadline(time.Now().Add(m.o.Limits.Package))
		reply(w, lines, plain, noStore)
		return
	}
	if r.ProtoMajor == 1 {
		h.Set("Connection", "close") // what is left of the body is not looked at
	}
	_ = ctl.SetReadDeadline(time.Now().Add(time.Second)) // nor waited for
	_ = ctl.SetWriteDeadline(time.Now().Add(m.o.Limits.Package))
	a := statusOf(err)
	switch {
	case a == nil:
		if r.Context().Err() == nil {
			m.o.Log.Error("serving the mirror", "path", r.URL.Path, "err", err)
		}
		http.Error(w, "the mirror cannot answer", http.StatusInternalServerError)
	case a.info != nil:
		h.Set("Content-Type", InfoType)
		w.WriteHeader(a.status)
		_, _ = w.Write(a.info)
	default:
		if a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests {
			h.Set("Retry-After", "5")
		}
		if a.status == http.StatusInsufficientStorage {
			m.o.Log.Error("the mirror has no room", "err", err)
		}
		http.Error(w, a.text, a.status)
	}
}

// ended reads what may follow the last package, such as the last chunk. With full
// duplex net/http would read it after the handler, and then panic where the next
// request of the connection comes.
func ended(body io.Reader) bool {
	n, err := io.CopyN(io.Discard, body, maxTail)
	return n < maxTail && errors.Is(err, io.EOF)
}

// maxTail is how much is read behind the last package, in bytes.
const maxTail = 4 << 10

func reply(w http.ResponseWriter, b []byte, typ, cache string) {
	h := w.Header()
	h.Set("Content-Type", typ)
	h.Set("Cache-Control", cache)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // the client may have gone
}

// serveCopy serves the copy of a log.
func (m *Mirror) serveCopy(w http.ResponseWriter, r *http.Request, path string) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "want GET, HEAD", http.StatusMethodNotAllowed)
		return
	}
	hash, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	b, err := hex.DecodeString(hash)
	if err != nil || len(b) != sha256.Size || hash != strings.ToLower(hash) {
		m.notFound(w)
		return
	}
	c := m.find([sha256.Size]byte(b))
	if c == nil || c.at().checkpoint == nil {
		m.notFound(w)
		return
	}
	if rest == "checkpoint" {
		reply(w, c.at().raw, plain, noStore)
		return
	}
	t, err := tlog.ParseTilePath(rest)
	if err != nil || t.Width > widthAt(c.at().size(), t.Level, t.Index) {
		m.notFound(w)
		return
	}
	m.serveTile(w, r, c, t)
}

func (m *Mirror) notFound(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", noStore)
	http.Error(w, "not found, or not mirrored yet", http.StatusNotFound)
}

func (m *Mirror) serveTile(w http.ResponseWriter, r *http.Request, c *logCopy, t tlog.Tile) {
	var b []byte
	var err error
	if t.Level == tlog.EntriesLevel {
		w.Header().Set("Vary", "Accept-Encoding")
		if b, err = c.bundle(t.Index, t.Width); err == nil && acceptsGzip(r) {
			w.Header().Set("Content-Encoding", "gzip")
			b, err = gzipped(b)
		}
	} else {
		b, err = c.tile(t.Level, t.Index, t.Width)
	}
	if err != nil {
		w.Header().Del("Content-Encoding")
		w.Header().Set("Cache-Control", noStore)
		m.o.Log.Error("serving a mirrored log", "origin", c.origin, "path", t.Path(), "err", err)
		http.Error(w, "the copy cannot be read", http.StatusInternalServerError)
		return
	}
	reply(w, b, octets, immutable)
}

// acceptsGzip looks for the plain word; a client that says more gets no gzip.
func acceptsGzip(r *http.Request) bool {
	for _, line := range r.Header.Values("Accept-Encoding") {
		for field := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(field), "gzip") {
				return true
			}
		}
	}
	return false
}

func gzipped(b []byte) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(b)
	err = errors.Join(err, z.Close()) // before the bytes are taken
	return out.Bytes(), err
}
