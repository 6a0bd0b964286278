package web

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"

	"vitrine.example/digest"
	"vitrine.example/internal/gossip"
	"vitrine.example/tlog"
)

// pageForks is how much evidence a page explains.
const pageForks = 50

// Forks is the evidence that the node keeps.
type Forks interface {
	List(ctx context.Context, origin string) ([]gossip.Kept, error)
	Evidence(ctx context.Context, digest [sha256.Size]byte) ([]byte, error)
}

// forked is a log that has signed two histories, as every page about it says.
type forked struct {
	Origin string
	Own    bool
	Open   int    // pieces of evidence that the operator has not accepted
	Reason string // of the one accepted last, where none is open
}

// forked returns what a page has to warn of: the own log always, and the logs
// that the page is about.
func (s *site) forked(ctx context.Context, page any) ([]forked, error) {
	if s.Forks == nil {
		return nil, nil
	}
	all, err := s.Forks.List(ctx, "")
	if err != nil || len(all) == 0 {
		return nil, err
	}
	about := []string{s.Info.Origin}
	if p, ok := page.(interface{ about() []string }); ok {
		about = append(about, p.about()...)
	}
	var out []forked
	for _, k := range all {
		if !slices.Contains(about, k.Origin) {
			continue
		}
		i := slices.IndexFunc(out, func(f forked) bool { return f.Origin == k.Origin })
		if i < 0 {
			i = len(out)
			out = append(out, forked{Origin: k.Origin, Own: k.Origin == s.Info.Origin})
		}
		if k.Accepted.IsZero() {
			out[i].Open++
		} else {
			out[i].Reason = k.Reason
		}
	}
	return out, nil
}

func (p logPage) about() []string       { return []string{p.Origin} }
func (p entryPage) about() []string     { return []string{p.Origin} }
func (p statementPage) about() []string { return origins(p.Origin, p.Places) }
func (p releasePage) about() []string   { return origins(p.Origin, p.Places) }

func origins(first string, places []place) []string {
	out := []string{first}
	for _, p := range places {
		out = append(out, p.Origin)
	}
	return out
}

func (p logsPage) about() (out []string) {
	for _, l := range p.Logs {
		out = append(out, l.Origin)
	}
	return out
}

func (p *releasesPage) about() (out []string) {
	for i := range p.Releases {
		out = append(out, p.Releases[i].Origin)
	}
	return out
}

func (p witnessPage) about() (out []string) {
	for _, l := range p.Logs {
		out = append(out, l.Origin)
	}
	return out
}

func (p circlePage) about() (out []string) {
	for _, m := range p.Members {
		out = append(out, m.Origin)
	}
	return out
}

// forksPage explains what the evidence says.
type forksPage struct {
	Forks []forkShown // not accepted first, newest first
	More  int
}

type forkShown struct {
	gossip.Kept
	Name  digest.Digest
	Own   bool
	A, B  tlog.Checkpoint
	Index int64 // of an entry fork
	VKey  string
}

func (s *site) forks(r *http.Request) (string, any, error) {
	var p forksPage
	if s.Forks == nil {
		return "forks", p, nil
	}
	all, err := s.Forks.List(r.Context(), "")
	if err != nil {
		return "", nil, err
	}
	slices.Reverse(all)
	slices.SortStableFunc(all, func(a, b gossip.Kept) int { return rank(a) - rank(b) })
	if len(all) > pageForks {
		p.More = len(all) - pageForks
		all = all[:pageForks]
	}
	for _, k := range all {
		shown, err := s.fork(r.Context(), k)
		if err != nil {
			return "", nil, err
		}
		p.Forks = append(p.Forks, shown)
	}
	return "forks", p, nil
}

func rank(k gossip.Kept) int {
	if k.Accepted.IsZero() {
		return 0
	}
	return 1
}

func (s *site) fork(ctx context.Context, k gossip.Kept) (forkShown, error) {
	text, err := s.Forks.Evidence(ctx, k.Digest)
	if err != nil {
		return forkShown{}, fmt.Errorf("evidence %s: %w", digest.Digest(k.Digest), err)
	}
	f, err := tlog.ParseFork(text)
	if err != nil {
		return forkShown{}, fmt.Errorf("evidence %s: %w", digest.Digest(k.Digest), err)
	}
	out := forkShown{Kept: k, Name: k.Digest, Own: k.Origin == s.Info.Origin, A: f.A.Checkpoint, B: f.B.Checkpoint, Index: f.Index}
	if out.Own && len(s.Info.Log) > 0 {
		out.VKey = s.Info.Log[0]
	}
	return out, nil
}

// forkLines says of readyz which logs have evidence that is not accepted.
func (s *site) forkLines(ctx context.Context) (out []string) {
	if s.Forks == nil {
		return nil
	}
	all, err := s.Forks.List(ctx, "")
	if err != nil {
		return []string{"fork evidence cannot be read"}
	}
	for _, k := range all {
		line := fmt.Sprintf("fork evidence about %q is not accepted", k.Origin)
		if k.Accepted.IsZero() && !slices.Contains(out, line) && len(out) < pageForks {
			out = append(out, line)
		}
	}
	return out
}
