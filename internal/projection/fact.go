package projection

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// Kind says what a log entry holds.
type Kind string

// The kinds of entries.
const (
	Statement  Kind = "statement"  // the record of a statement's signature
	Commitment Kind = "commitment" // 32 bytes that mean nothing to strangers
	Other      Kind = "other"      // not written by this program's rules
)

// Problems of a statement's entry, as pages show them.
const (
	problemUnknown = "the statement behind this entry is not held here"
	problemCorrupt = "the stored statement does not match its digest"
	problemForeign = "the stored statement does not belong to this entry"
	problemKey     = "the key that signed is not one of those of the log's owner"
)

// fact is what one log entry says, checked.
type fact struct {
	index    int64
	kind     Kind
	leafHash tlog.Hash
	raw      []byte        // the entry; not kept once it is checked
	loose    bool          // taken for a statement's by its end alone
	signer   *key.Verifier // of a statement; not kept either
	key      digest.Digest
	said     digest.Digest // the envelope that is said to stand behind it
	pending  bool          // the journal does not know that the log has it
	envelope digest.Digest // zero: not known
	stmt     *statement.Statement
	release  *statement.Release
	rebuild  *statement.Rebuild
	built    *statement.Provenance
	problem  string
}

// again is whether the entry is looked at again by and by.
func (f *fact) again() int64 {
	if f.problem == problemUnknown || f.problem == problemCorrupt || f.problem == problemForeign {
		return againLater
	}
	return againNever
}

// Values of the column again.
const (
	againNever = 0
	againLater = 1
	againNow   = 2
)

// trust is the keys whose statements are believed.
type trust struct {
	any bool
	ids []byte // of the keys, 32 bytes each, in order
}

func (t trust) same(o trust) bool { return t.any == o.any && bytes.Equal(t.ids, o.ids) }

func (t trust) has(id digest.Digest) bool {
	for ids := t.ids; len(ids) >= digest.Size; ids = ids[digest.Size:] {
		if bytes.Equal(ids[:digest.Size], id[:]) {
			return true
		}
	}
	return t.any
}

// trusting returns the trust in keys.
func trusting(keys []key.Public) trust {
	ids := make([]digest.Digest, 0, len(keys))
	for _, k := range keys {
		ids = append(ids, k.ID())
	}
	slices.SortFunc(ids, func(a, b digest.Digest) int { return bytes.Compare(a[:], b[:]) })
	t := trust{ids: []byte{}}
	for _, id := range slices.Compact(ids) {
		t.ids = append(t.ids, id[:]...)
	}
	return t
}

// read is a run of entries, checked.
type read struct {
	from, end int64
	facts     []fact // of those that a row is kept of
	trust     trust
}

// prepare reads and checks the entries from ≤ index < to, or fewer where they
// are large.
func (f *follow) prepare(ctx context.Context, from, to int64, t trust) (*read, error) {
	raws, err := f.entries(ctx, from, to)
	if err != nil {
		return nil, err
	}
	facts := make([]fact, len(raws))
	_, err = parallel(len(raws), func(i int) (bool, error) {
		facts[i] = f.known.parse(from+int64(i), raws[i])
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	end, err := f.check(ctx, facts, t)
	if err != nil {
		return nil, err
	}
	facts = slices.DeleteFunc(facts[:end], func(f fact) bool { return f.kind == Other })
	return &read{from, from + int64(end), facts, t}, nil
}

// entries returns the entries from ≤ index < to, or fewer where they are large.
func (f *follow) entries(ctx context.Context, from, to int64) ([][]byte, error) {
	var out [][]byte
	size := 0
	for at := from; at < to && size < batchBytes; at = from + int64(len(out)) {
		some, err := f.leaves(ctx, at, int(to-at))
		if err != nil {
			return nil, fmt.Errorf("reading the entries from %d on: %w", at, err)
		}
		for _, b := range some {
			size += len(b)
		}
		out = append(out, some...)
	}
	return out, nil
}

// leaves asks the log, and holds it to what it promises.
func (f *follow) leaves(ctx context.Context, index int64, n int) ([][]byte, error) {
	some, err := f.log.Leaves(ctx, index, n)
	if err != nil {
		return nil, err
	}
	if len(some) == 0 || len(some) > n {
		return nil, fmt.Errorf("the log gave %d entries where %d were asked for", len(some), n)
	}
	return some, nil
}

// parse reads an entry without believing anything.
func parse(index int64, raw []byte) fact {
	f := fact{index: index, kind: Other}
	leaf, err := statement.ParseLeaf(raw)
	if err != nil {
		return f // the log itself is all there is to show
	}
	f.leafHash = tlog.LeafHash(raw)
	if leaf.Kind != statement.LeafStatement {
		f.kind = Commitment
		return f
	}
	f.kind, f.raw, f.signer = Statement, raw, leaf.Key.Verifier()
	f.key = f.signer.ID()
	return f
}

// check joins statements with their envelopes. It does the first of the facts,
// fewer where the statements are large, and returns how many.
func (f *follow) check(ctx context.Context, facts []fact, t trust) (int, error) {
	if err := f.explain(ctx, facts); err != nil {
		return 0, err
	}
	var size atomic.Int64
	return parallel(len(facts), func(i int) (bool, error) {
		n, err := f.join(ctx, &facts[i], t)
		return size.Add(int64(n)) < batchBytes, err
	})
}

// join finds the envelope behind an entry and believes it only where its
// signature and its leaf are those of the entry, and the key is trusted. It
// returns how many bytes it read.
func (f *follow) join(ctx context.Context, e *fact, t trust) (int, error) {
	defer func() {
		e.tighten()
		e.raw, e.signer = nil, nil
	}()
	switch {
	case e.kind != Statement:
		return 0, nil
	case !t.has(e.key):
		e.problem = problemKey
		return 0, nil
	case e.said.IsZero():
		e.problem = problemUnknown
		return 0, nil
	}
	buf := f.p.buffer()
	defer f.p.buffers.Put(buf)
	b, err := f.p.Content.ReadPublicInto(ctx, e.said, statement.MaxSize, *buf)
	switch {
	case errors.Is(err, content.ErrUnknown):
		e.problem = problemUnknown
		return 0, nil
	case errors.Is(err, content.ErrCorrupt), errors.Is(err, content.ErrTooLarge):
		e.problem = problemCorrupt
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("reading the statement %s: %w", e.said, err)
	}
	e.believe(b)
	return len(b), nil
}

// believe takes the statement for that of the entry, if it is.
func (e *fact) believe(b []byte) {
	e.problem = problemForeign
	env, err := statement.Parse(b)
	if err != nil {
		return
	}
	if env.VerifyLeaf(e.signer, e.raw) != nil {
		return
	}
	s := env.Statement()
	if s.PredicateType == statement.ReleaseType {
		if e.release, err = env.Release(); err != nil {
			return
		}
	}
	e.rebuilding(s)
	e.envelope, e.stmt, e.problem = e.said, s, ""
}

// parallel calls f for 0 ≤ i < n on all processors, each begun in its order,
// until it returns false or an error, and returns for how many it was called.
func parallel(n int, f func(i int) (bool, error)) (int, error) {
	var next atomic.Int64
	var stop atomic.Bool
	errs := make([]error, runtime.GOMAXPROCS(0))
	var work sync.WaitGroup
	for w := range errs {
		work.Go(func() {
			for !stop.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				ok, err := f(i)
				if errs[w] = err; err != nil || !ok {
					stop.Store(true)
				}
			}
		})
	}
	work.Wait()
	return min(int(next.Load()), n), errors.Join(errs...)
}
