package mirror

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// response is the answer of a mirror.
type response struct {
	status int
	typ    string
	body   []byte
}

// err tells what was answered, without trusting it to be short or clean.
func (a *response) err() error {
	return fmt.Errorf("the mirror answered %d: %.200q", a.status, strings.TrimSpace(string(a.body)))
}

// post sends a body and reads a bounded answer.
func (p *Pusher) post(ctx context.Context, url, typ, encoding string, body io.Reader) (*response, error) {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", typ)
	if encoding != "" {
		r.Header.Set("Content-Encoding", encoding)
	}
	return do(p.client, r, maxAnswer)
}

// do sends a request and reads an answer of at most limit bytes.
func do(client *http.Client, r *http.Request, limit int64) (*response, error) {
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer %d: %w", resp.StatusCode, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("the answer %d has more than %d bytes", resp.StatusCode, limit)
	}
	typ, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return &response{resp.StatusCode, typ, b}, nil
}

// Remote reads a log over HTTP.
type Remote struct {
	URL    string // prefix of the log
	Client *http.Client
}

// maxBundle is the most bytes of an entry bundle.
const maxBundle = 256 * (2 + maxEntry)

// Read implements [Source].
func (s Remote) Read(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(s.URL, "/")+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	a, err := do(s.Client, r, maxBundle)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("reading %s: the log answered %d", path, a.status)
	}
	return a.body, nil
}

// Local reads a log from what serves it.
type Local struct{ Handler http.Handler }

// Read implements [Source].
func (s Local) Read(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/"+path, nil)
	if err != nil {
		return nil, err
	}
	w := &memory{header: http.Header{}, status: http.StatusOK}
	s.Handler.ServeHTTP(w, r)
	if w.status != http.StatusOK {
		return nil, fmt.Errorf("reading %s: the log answered %d", path, w.status)
	}
	return w.body, nil
}

// memory is an answer that stays in this process.
type memory struct {
	header http.Header
	status int
	body   []byte
}

// Header implements http.ResponseWriter.
func (m *memory) Header() http.Header { return m.header }

// WriteHeader implements http.ResponseWriter.
func (m *memory) WriteHeader(status int) { m.status = status }

// Write implements http.ResponseWriter.
func (m *memory) Write(b []byte) (int, error) {
	m.body = append(m.body, b...)
	return len(b), nil
}

// newGzip compresses for speed: entries are mostly hashes and signatures.
func newGzip(w io.Writer) *gzip.Writer {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return z
}
