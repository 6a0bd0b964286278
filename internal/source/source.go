// Package source reads logs that lie elsewhere: at a URL, in a directory, in a zip.
//
// [Open] takes any of them; what comes back gives checkpoint, tiles, entry bundles
// and the statements behind entries, as C2SP tlog-tiles lays them out. Every
// answer is bounded in size and time. Nothing is verified here: whoever asks
// must do so.
package source

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"vitrine.example/tlog"
)

// Bounds of what is read.
const (
	maxTile      = tlog.TileWidth * len(tlog.Hash{})
	maxBundle    = tlog.TileWidth * (2 + 1<<16 - 1)
	maxStatement = 1 << 20

	requestTimeout = 30 * time.Second
	tries          = 3
)

// Log is a log that lies elsewhere. It is safe for use by several goroutines.
type Log struct {
	name string
	read func(ctx context.Context, path string, limit int) ([]byte, error)
}

// Open returns the log at an https URL (http where it is this machine), or in a
// directory or a zip archive of one. agent is what it calls itself to servers.
func Open(where, agent string) (*Log, error) {
	if strings.HasPrefix(where, "https://") || strings.HasPrefix(where, "http://") {
		return openURL(where, agent)
	}
	fi, err := os.Stat(where)
	if err != nil {
		return nil, fmt.Errorf("opening a log: %w", err)
	}
	if !fi.IsDir() {
		return openArchive(where)
	}
	return &Log{name: where, read: func(_ context.Context, path string, limit int) ([]byte, error) {
		return readFile(where, path, limit)
	}}, nil
}

// String says where the log is.
func (l *Log) String() string { return l.name }

// Checkpoint returns the newest checkpoint that is there.
func (l *Log) Checkpoint(ctx context.Context) ([]byte, error) {
	return l.read(ctx, "checkpoint", tlog.MaxCheckpoint)
}

// Tile returns a tile or bundle. A partial one may be gone after a full one has
// come (tlog-tiles, "Partial Tiles"); then that is returned.
func (l *Log) Tile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	limit := maxTile
	if t.Level == tlog.EntriesLevel {
		limit = maxBundle
	}
	b, err := l.read(ctx, t.Path(), limit)
	if errors.Is(err, fs.ErrNotExist) && t.Width < tlog.TileWidth {
		t.Width = tlog.TileWidth
		if full, again := l.read(ctx, t.Path(), limit); again == nil {
			return full, nil
		}
	}
	return b, err
}

// Statement returns the envelope behind an entry, where the log has it
// (docs/spec/node.md, "Envelopes").
func (l *Log) Statement(ctx context.Context, index int64) ([]byte, error) {
	return l.read(ctx, "envelope/"+strconv.FormatInt(index, 10), maxStatement)
}

// readFile reads a file below a directory, and follows no link out of it.
func readFile(dir, path string, limit int) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, limit)
}

// openArchive opens a zip with the files of a log (one file of what torchwood's
// TileArchiveFS reads). It stays open as long as the process runs.
func openArchive(where string) (*Log, error) {
	z, err := zip.OpenReader(where)
	if err != nil {
		return nil, fmt.Errorf("opening a log: %s is neither a URL, a directory nor a zip archive: %w", where, err)
	}
	return &Log{name: where, read: func(_ context.Context, path string, limit int) ([]byte, error) {
		f, err := z.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readAll(f, limit)
	}}, nil
}

func readAll(r io.Reader, limit int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return b, err
}

func openURL(where, agent string) (*Log, error) {
	u, err := url.Parse(where)
	switch {
	case err != nil || u.Host == "":
		return nil, fmt.Errorf("opening a log: %.80q is not a URL", where)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("opening a log: %.80q has more than scheme, host and path", where)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, fmt.Errorf("opening a log: %.80q: use https", where)
	}
	h := &remote{base: strings.TrimSuffix(where, "/") + "/", agent: agent, client: http.Client{
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	return &Log{name: where, read: h.read}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// remote is a base URL.
type remote struct {
	base, agent string
	client      http.Client
}

// read asks again where the server is out of order.
func (r *remote) read(ctx context.Context, path string, limit int) (b []byte, err error) {
	for i := range tries {
		var again bool
		if b, again, err = r.once(ctx, path, limit); !again || ctx.Err() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second << i):
		}
	}
	return b, err
}

func (r *remote) once(ctx context.Context, path string, limit int) (_ []byte, again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+path, nil)
	if err != nil {
		return nil, false, err
	}
	req.Header.Set("User-Agent", r.agent)
	res, err := r.client.Do(req)
	if err != nil {
		return nil, true, err
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone:
		return nil, false, fmt.Errorf("%s: %w", res.Status, fs.ErrNotExist)
	case res.StatusCode != http.StatusOK:
		return nil, res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests, fmt.Errorf("the server answered %s", res.Status)
	}
	b, err := readAll(res.Body, limit)
	return b, false, err
}
