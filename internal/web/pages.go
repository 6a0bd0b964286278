package web

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode"
	"unicode/utf8"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/holdings"
	"vitrine.example/internal/projection"
	"vitrine.example/key"
	"vitrine.example/tlog"
)

// Rows on a page.
const (
	startReleases = 5
	pageReleases  = 25
	pageEntries   = 50
)

// startPage is the node at a glance.
type startPage struct {
	Size       int64  // entries that the newest checkpoint covers
	Waiting    int64  // sequenced and not yet published
	Awaiting   string // whose cosignatures they wait for
	At         time.Time
	Counts     projection.Counts
	Releases   []projection.Release
	Keys       []statementKey
	Checkpoint string
	Behind     int64 // entries not yet shown
	Circle     bool  // the node belongs to one
	Alerts     []Alert
}

type statementKey struct {
	ID        digest.Digest
	Algorithm string
	PEM       string
}

func (s *site) start(r *http.Request) (string, any, error) {
	ctx := r.Context()
	st, err := s.Ledger.Status(ctx)
	if err != nil {
		return "", nil, err
	}
	p := startPage{Size: st.Published, Waiting: max(st.Sequenced-st.Published, 0), Awaiting: st.Awaiting, At: st.At}
	if p.Counts, err = s.Projection.Counts(ctx); err != nil {
		return "", nil, err
	}
	if p.Releases, err = s.Projection.Releases(ctx, projection.Filter{Limit: startReleases}); err != nil {
		return "", nil, err
	}
	if p.Behind, err = s.behind(ctx); err != nil {
		return "", nil, err
	}
	if b, err := s.Ledger.Checkpoint(ctx); err == nil {
		p.Checkpoint = string(b)
	}
	if s.Circle != nil {
		_, err := s.Circle.Circle(ctx)
		p.Circle = err == nil
	}
	if p.Alerts, err = s.alerts(ctx); err != nil {
		return "", nil, err
	}
	p.Keys = keysOf(s.info())
	return "start", p, nil
}

// behind returns how many published entries the pages do not show yet.
func (s *site) behind(ctx context.Context) (int64, error) {
	next, published, err := s.Projection.Lag(ctx)
	if next == 0 && published == 0 && err != nil {
		return 0, err
	}
	return max(published-next, 0), nil
}

func keysOf(info Info) []statementKey {
	var out []statementKey
	for _, p := range info.Statement {
		if k, err := key.ParsePublic([]byte(p)); err == nil {
			out = append(out, statementKey{ID: k.ID(), Algorithm: string(k.Algorithm()), PEM: p})
		}
	}
	return out
}

// allKeysOf are the keys that have signed statements, retired ones too.
func allKeysOf(info Info) []statementKey {
	for _, r := range info.Retired {
		if r.Kind == "statement" {
			info.Statement = append(info.Statement[:len(info.Statement):len(info.Statement)], r.Key)
		}
	}
	return keysOf(info)
}

// before reads the ?before= of a list; 0 where it is missing.
func before(r *http.Request) (int64, error) {
	v := r.URL.Query().Get("before")
	if v == "" {
		return 0, nil
	}
	n, err := number(v)
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: nothing comes before 0", errInvalid)
	}
	return n, err
}

// releasePage is one release.
type releasePage struct {
	*projection.Release
	Base       string // address of the log
	Own        bool   // it is the node's
	Places     []place
	Standing   []standing
	Held       map[digest.Digest]bool // content that can be had here
	SourceHeld bool
	Rebuilds   []saidRebuild
	Bundles    bool // the files' bundles can be had here
}

func (s *site) release(r *http.Request) (string, any, error) {
	d, err := pathDigest(r)
	if err != nil {
		return "", nil, err
	}
	rel, err := s.Projection.Release(r.Context(), d)
	if err != nil {
		return "", nil, err
	}
	p := releasePage{
		Release: rel, Base: s.base(rel.Origin), Own: rel.Origin == s.Info.Origin, Held: map[digest.Digest]bool{},
	}
	if p.Places, err = s.places(r.Context(), d, rel.Origin); err != nil {
		return "", nil, err
	}
	if p.Standing, err = s.standing(r.Context(), rel.Origin, rel.Index); err != nil {
		return "", nil, err
	}
	for _, a := range rel.Artifacts {
		p.Held[a.SHA256] = s.held(a.SHA256)
		if a.SBOM != nil {
			p.Held[a.SBOM.SHA256] = s.held(a.SBOM.SHA256)
		}
	}
	if p.Rebuilds, err = s.rebuiltBy(r.Context(), d, rel.Origin); err != nil {
		return "", nil, err
	}
	p.Bundles = p.Own || s.Proofs != nil
	p.SourceHeld = rel.Source != nil && s.held(rel.Source.SHA256)
	return "release", p, nil
}

// held reports whether anyone can have the content here.
func (s *site) held(d digest.Digest) bool {
	info, err := s.Content.Stat(d)
	return err == nil && info.Class == content.Public
}

// logPage lists entries, newest first.
type logPage struct {
	Origin  string
	Base    string // address of the log
	Own     bool   // it is the node's
	State   *logRow
	Size    int64
	Entries []projection.Entry
	Newer   int64 // bounds of the neighbouring pages; 0: there is none
	Older   int64
	Behind  int64
	// Waiting entries are sequenced, and wait for the cosignatures of Awaiting.
	Waiting  int64
	Awaiting string
	Withheld []holdings.Missing
}

func (s *site) log(r *http.Request) (string, any, error) {
	to, err := before(r)
	if err != nil {
		return "", nil, err
	}
	st, err := s.Ledger.Status(r.Context())
	if err != nil {
		return "", nil, err
	}
	p, err := s.entriesPage(r.Context(), s.Info.Origin, st.Published, to)
	if err != nil {
		return "", nil, err
	}
	p.Waiting, p.Awaiting = max(st.Sequenced-st.Published, 0), st.Awaiting
	p.Behind, err = s.behind(r.Context())
	return "log", p, err
}

// entriesPage lists the entries of a log before one, 0 for the newest.
func (s *site) entriesPage(ctx context.Context, origin string, size, to int64) (logPage, error) {
	p := logPage{Origin: origin, Base: s.base(origin), Own: origin == s.Info.Origin, Size: size}
	if to == 0 || to > size {
		to = size
	}
	from := max(to-pageEntries, 0)
	if to < size {
		p.Newer = min(to+pageEntries, size)
	}
	p.Older = from
	var err error
	p.Entries, err = s.entries(ctx, origin, from, to)
	return p, err
}

// entries returns what stands at from ≤ index < to, newest first. What has no
// row of its own is shown as an entry of another kind.
func (s *site) entries(ctx context.Context, origin string, from, to int64) ([]projection.Entry, error) {
	rows, err := s.Projection.EntriesOf(ctx, origin, from, to)
	if err != nil {
		return nil, err
	}
	out := make([]projection.Entry, 0, to-from)
	for i := to - 1; i >= from; i-- {
		e := projection.Entry{Index: i, Kind: projection.Other}
		if n := len(rows); n > 0 && rows[n-1].Index == i {
			e, rows = rows[n-1], rows[:n-1]
		}
		out = append(out, e)
	}
	return out, nil
}

// entryPage is one entry of the log as the log holds it.
type entryPage struct {
	projection.Entry
	Base     string // address of the log
	Own      bool   // it is the node's
	Size     int64  // bytes of the entry
	Text     string
	Cut      bool // Text is not all of it
	LogSize  int64
	LeafHash tlog.Hash
}

// maxShown bounds what a page shows of an entry.
const maxShown = 64 << 10

func (s *site) entry(r *http.Request) (string, any, error) {
	index, err := number(r.PathValue("index"))
	if err != nil {
		return "", nil, err
	}
	st, err := s.Ledger.Status(r.Context())
	if err != nil {
		return "", nil, err
	}
	if index >= st.Published {
		return "", nil, errNotFound
	}
	raw, err := s.Ledger.Leaf(r.Context(), index)
	if err != nil {
		return "", nil, err
	}
	p, err := s.entryPage(r.Context(), s.Info.Origin, index, st.Published, raw)
	return "entry", p, err
}

// entryPage shows an entry of any log.
func (s *site) entryPage(ctx context.Context, origin string, index, size int64, raw []byte) (p entryPage, err error) {
	p = entryPage{
		Base: s.base(origin), Own: origin == s.Info.Origin,
		Size: int64(len(raw)), LogSize: size, LeafHash: tlog.LeafHash(raw),
	}
	p.Text, p.Cut = show(raw)
	p.Entry, err = s.Projection.EntryOf(ctx, origin, index)
	if errors.Is(err, projection.ErrUnknown) {
		p.Entry, err = projection.Entry{Origin: origin, Index: index, Kind: projection.Other}, nil
	}
	return p, err
}

// show writes bytes for people: JSON set out, text as it is, else hexadecimal.
func show(raw []byte) (text string, cut bool) {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") == nil {
		raw = b.Bytes()
	} else if !printable(raw) {
		cut = len(raw) > maxShown/16
		return hex.Dump(raw[:min(len(raw), maxShown/16)]), cut
	}
	if len(raw) > maxShown {
		raw, cut = raw[:maxShown], true
	}
	return string(bytes.ToValidUTF8(raw, nil)), cut
}

// printable reports whether b is text without control characters but newlines
// and tabs, and without what turns the direction of writing around.
func printable(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	for _, c := range string(b) {
		if !unicode.IsPrint(c) && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}
