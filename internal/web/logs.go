package web

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/projection"
)

// Kinds of cosigners.
const (
	AsWitness = "witness" // saw that the log only grew
	AsMirror  = "mirror"  // keeps a copy of it
)

// Cosigner is somebody who vouches for a log up to a size.
type Cosigner struct {
	Name string    // as in its key
	Kind string    // AsWitness or AsMirror
	Size int64     // entries that its newest cosignature covers
	At   time.Time // of that cosignature; zero: not known
}

// Standing tells who keeps and cosigns a log: by the cosignatures on its newest
// checkpoint, and by what mirrors have told.
type Standing interface {
	Standing(ctx context.Context, origin string) ([]Cosigner, error)
}

// standing is a cosigner beside one entry.
type standing struct {
	Cosigner
	Covers bool // the entry is below its size
}

// standing returns who vouches for a log that an entry stands in.
func (s *site) standing(ctx context.Context, origin string, index int64) ([]standing, error) {
	if s.Standing == nil {
		return nil, nil
	}
	all, err := s.Standing.Standing(ctx, origin)
	if err != nil {
		return nil, fmt.Errorf("asking who cosigns %s: %w", origin, err)
	}
	out := make([]standing, 0, len(all))
	for _, c := range all {
		out = append(out, standing{c, c.Size > index})
	}
	return out, nil
}

// base returns the address under which the entries of a log are shown.
func (s *site) base(origin string) string {
	if origin == s.Info.Origin {
		return "/log"
	}
	return "/logs/" + digest.Of([]byte(origin)).String()
}

// place is another log that a statement stands in.
type place struct {
	Origin string
	Base   string
	Index  int64
}

// places returns where else a statement stands: its first entry in each log but one.
func (s *site) places(ctx context.Context, d digest.Digest, but string) ([]place, error) {
	all, err := s.Projection.Places(ctx, d)
	if err != nil {
		return nil, err
	}
	var out []place
	last := but
	for _, e := range all {
		if e.Origin == but || e.Origin == last {
			continue
		}
		last = e.Origin
		out = append(out, place{e.Origin, s.base(e.Origin), e.Index})
	}
	return out, nil
}

// logRow is a followed log as pages show it. What is wrong is told in general:
// the node's journal has the details.
type logRow struct {
	projection.State
	Hash     string
	Base     string
	Standing []Cosigner
}

// Ails tells strangers what is wrong.
func (l *logRow) Ails() string {
	if l.Problem == nil {
		return ""
	}
	return "the node cannot follow this log at present"
}

// Seconds is how long the oldest entry that is not shown waits.
func (l *logRow) Seconds() int64 { return int64(l.Late / time.Second) }

func (s *site) logRows(ctx context.Context) ([]logRow, error) {
	all, err := s.Projection.Logs(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]logRow, 0, len(all))
	for _, st := range all {
		out = append(out, logRow{State: st, Hash: digest.Of([]byte(st.Origin)).String(), Base: s.base(st.Origin)})
	}
	return out, nil
}

// logRow returns the log whose origin has a hash.
func (s *site) logRow(ctx context.Context, hash string) (*logRow, error) {
	all, err := s.logRows(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Hash == hash {
			return &all[i], nil
		}
	}
	return nil, errNotFound
}

// logsPage lists the logs that the node follows.
type logsPage struct{ Logs []logRow }

func (s *site) logs(r *http.Request) (string, any, error) {
	all, err := s.logRows(r.Context())
	if err != nil {
		return "", nil, err
	}
	for i := range all {
		if s.Standing == nil {
			break
		}
		if all[i].Standing, err = s.Standing.Standing(r.Context(), all[i].Origin); err != nil {
			return "", nil, fmt.Errorf("asking who cosigns %s: %w", all[i].Origin, err)
		}
	}
	return "logs", logsPage{all}, nil
}

// otherLog lists the entries of any followed log.
func (s *site) otherLog(r *http.Request) (string, any, error) {
	to, err := before(r)
	if err != nil {
		return "", nil, err
	}
	l, err := s.logRow(r.Context(), r.PathValue("log"))
	if err != nil {
		return "", nil, err
	}
	// What is not projected yet would be shown as something of another kind.
	p, err := s.entriesPage(r.Context(), l.Origin, l.Projected, to)
	p.State, p.Behind = l, l.Behind()
	if err != nil {
		return "", nil, err
	}
	p.Withheld, err = s.withheld(r.Context(), l.Origin)
	return "log", p, err
}

// otherEntry shows one entry of any followed log.
func (s *site) otherEntry(r *http.Request) (string, any, error) {
	index, err := number(r.PathValue("index"))
	if err != nil {
		return "", nil, err
	}
	l, err := s.logRow(r.Context(), r.PathValue("log"))
	if err != nil {
		return "", nil, err
	}
	if index >= l.Projected {
		return "", nil, errNotFound
	}
	raw, err := s.Projection.Leaf(r.Context(), l.Origin, index)
	if err != nil {
		return "", nil, err
	}
	p, err := s.entryPage(r.Context(), l.Origin, index, l.Projected, raw)
	return "entry", p, err
}
