package centre

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"vitrine.example/internal/ledger"
	"vitrine.example/internal/mirror"
	"vitrine.example/internal/source"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// Members of an archive of a log beside those of tlog-tiles (docs/spec/archive.md).
const (
	sinceMember     = "since"
	statementMember = "envelope/"
	maxSince        = 20 // bytes
)

// ErrArchive says that a file is not an archive of a log.
var ErrArchive = errors.New("this is no whole archive of a log")

// ArchiveReport is what [VerifyArchive] has verified.
type ArchiveReport struct {
	Origin     string   `json:"origin"`
	Size       int64    `json:"size"`
	Root       string   `json:"root"`
	Since      int64    `json:"since"`                // entries that are not in it
	SinceRoot  string   `json:"sinceRoot,omitempty"`  // of the tree of these
	Files      int64    `json:"files"`                // tiles and bundles
	Statements int64    `json:"statements"`           // in it, each the one that its entry stands for
	Cosigned   []string `json:"cosignedBy,omitempty"` // witnesses of the policy
}

// VerifyArchive verifies an archive of a log as a whole, without a network: the
// signature of v, every entry and tile up to the root, each statement against its
// entry, and where p is not nil the policy. It has exactly the files that it
// must have.
func VerifyArchive(ctx context.Context, file string, v tlog.Verifier, p *tlog.Policy, progress func(done, total int64)) (_ *ArchiveReport, err error) {
	a, err := openArchive(file)
	if err != nil {
		return nil, err
	}
	out := &ArchiveReport{Origin: v.Name(), Since: a.since}
	got, err := ledger.Verify(ctx, ledger.VerifyOptions{Source: a.log, Verifier: v, Since: a.since, Progress: progress,
		Entries: func(ctx context.Context, first int64, entries [][]byte) error {
			return a.checkStatements(ctx, first, entries)
		}})
	if err != nil {
		return nil, err
	}
	if got.Files != a.tiles {
		return nil, fmt.Errorf("%w: it has %d tiles and bundles, and %d belong to its tree", ErrArchive, a.tiles, got.Files)
	}
	if len(a.statements) > 0 {
		return nil, fmt.Errorf("%w: it has statements of entries that are not in it", ErrArchive)
	}
	out.Size, out.Root, out.Files, out.Statements = got.Checkpoint.Size, got.Checkpoint.Root.String(), got.Files, a.checked
	if a.since > 0 {
		out.SinceRoot = got.SinceRoot.String()
	}
	if p == nil {
		return out, nil
	}
	q := *p
	if len(q.Logs) == 0 {
		q.Logs = []tlog.PolicyLog{{Key: v}}
	}
	met, err := q.Check(got.Checkpoint)
	if err != nil {
		return nil, err
	}
	for _, w := range met.Witnesses {
		out.Cosigned = append(out.Cosigned, w.Name)
	}
	return out, nil
}

// archive is an archive of a log, whose names were looked at.
type archive struct {
	log        *source.Log
	since      int64
	tiles      int64
	statements map[int64]bool // that were not looked at yet
	checked    int64
}

// openArchive lists what is in a zip, strictly: nothing twice, nothing else.
func openArchive(file string) (*archive, error) {
	log, err := source.Open(file, software())
	if err != nil {
		return nil, err
	}
	z, err := zip.OpenReader(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	defer z.Close()
	a := &archive{log: log, statements: map[int64]bool{}}
	seen := make(map[string]bool, len(z.File))
	for _, f := range z.File {
		if seen[f.Name] || !f.Mode().IsRegular() {
			return nil, fmt.Errorf("%w: %.200q is there twice, or is not a file", ErrArchive, f.Name)
		}
		seen[f.Name] = true
		if err := a.member(f); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *archive) member(f *zip.File) error {
	if f.Name == "checkpoint" {
		return nil
	}
	if f.Name == sinceMember {
		b, err := readMember(f, maxSince)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrArchive, f.Name, err)
		}
		text, ok := strings.CutSuffix(string(b), "\n")
		if a.since, ok = parseIndex(text, ok); !ok || a.since == 0 {
			return fmt.Errorf("%w: %s says %.40q, want a number from 1 on and a line feed", ErrArchive, f.Name, b)
		}
		return nil
	}
	if text, ok := strings.CutPrefix(f.Name, statementMember); ok {
		i, ok := parseIndex(text, true)
		if !ok {
			return fmt.Errorf("%w: %.200q names no entry", ErrArchive, f.Name)
		}
		a.statements[i] = true
		return nil
	}
	if t, err := tlog.ParseTilePath(f.Name); err != nil || t.Path() != f.Name {
		return fmt.Errorf("%w: it has %.200q, which no log has", ErrArchive, f.Name)
	}
	a.tiles++
	return nil
}

// parseIndex reads a decimal number without sign and leading zeros.
func parseIndex(text string, ok bool) (int64, bool) {
	i, err := strconv.ParseInt(text, 10, 64)
	return i, ok && err == nil && i >= 0 && strconv.FormatInt(i, 10) == text
}

func readMember(f *zip.File, limit int64) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := make([]byte, 0, limit)
	for len(b) < int(limit) {
		n, err := r.Read(b[len(b):cap(b)])
		if b = b[:len(b)+n]; err != nil {
			if len(b) == int(f.UncompressedSize64) {
				return b, nil
			}
			return nil, err
		}
	}
	return nil, fmt.Errorf("it has more than %d bytes", limit-1)
}

// checkStatements holds the statements behind some entries against these.
func (a *archive) checkStatements(ctx context.Context, first int64, entries [][]byte) error {
	for i, entry := range entries {
		at := first + int64(i)
		if !a.statements[at] {
			continue
		}
		delete(a.statements, at)
		leaf, err := statement.ParseLeaf(entry)
		if err == nil && leaf.Kind != statement.LeafStatement {
			err = errors.New("the entry is no statement")
		}
		if err == nil && statementOf(ctx, []*source.Log{a.log}, at, entry, leaf) == nil {
			err = errors.New("it is not what the entry stands for")
		}
		if err != nil {
			return fmt.Errorf("%w: %s%d: %w", ErrArchive, statementMember, at, err)
		}
		a.checked++
	}
	return nil
}

// importLog brings the archive of another's log into the node's mirror, as if the
// log itself had pushed it there: what is not proven is refused.
func (n *Node) importLog(ctx context.Context, file string) (*MirrorAnswer, error) {
	if n.mirror == nil {
		return nil, fmt.Errorf("%w: this node has none: give it a key with mirror-key in %s", ErrMirror, ConfigFile)
	}
	a, err := openArchive(file)
	if err != nil {
		return nil, err
	}
	raw, err := a.log.Checkpoint(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: checkpoint: %w", ErrArchive, err)
	}
	c, err := tlog.ParseCheckpoint(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	before, err := n.mirror.Get(ctx, c.Origin)
	if err != nil {
		return nil, err
	}
	if before.Next < a.since {
		return nil, fmt.Errorf("%w: the archive follows %d entries of %s, and the mirror has %d: import those before it first", ErrMirror, a.since, c.Origin, before.Next)
	}
	client := &http.Client{Transport: inProcess{n.mirror.Handler()}}
	p := mirror.NewPusher(archiveSource{a.log}, client, n.log, mirror.Target{Name: "this node", URL: "http://mirror.localhost", Keys: n.mirror.Verifiers()})
	err = p.Push(ctx)
	if err != nil {
		return nil, err
	}
	s, err := n.mirror.Get(ctx, c.Origin)
	return &MirrorAnswer{Keys: []string{}, Logs: []mirror.Status{s}}, err
}

// archiveSource is an archive as the pusher reads a log.
type archiveSource struct{ log *source.Log }

// Read implements [mirror.Source].
func (s archiveSource) Read(ctx context.Context, path string) ([]byte, error) {
	if path == "checkpoint" {
		return s.log.Checkpoint(ctx)
	}
	t, err := tlog.ParseTilePath(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return s.log.Tile(ctx, t)
}

// inProcess answers requests with a handler of this process.
type inProcess struct{ handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	w := &kept{header: http.Header{}, status: http.StatusOK}
	p.handler.ServeHTTP(w, r)
	return &http.Response{StatusCode: w.status, Status: http.StatusText(w.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r}, nil
}

// kept is an answer that stays in this process.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (k *kept) Header() http.Header { return k.header }

// WriteHeader implements http.ResponseWriter.
func (k *kept) WriteHeader(status int) { k.status = status }

// Write implements http.ResponseWriter.
func (k *kept) Write(b []byte) (int, error) { return k.body.Write(b) }

// SetReadDeadline implements what http.ResponseController asks for: nobody can be
// slow here.
func (k *kept) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline is like SetReadDeadline.
func (k *kept) SetWriteDeadline(time.Time) error { return nil }

// EnableFullDuplex is always so here.
func (k *kept) EnableFullDuplex() error { return nil }
