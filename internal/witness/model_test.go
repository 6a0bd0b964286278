package witness_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

// model is what a witness must remember of one log, written down as plainly as
// can be: the state, and all that was ever cosigned.
type model struct {
	known    bool
	size     int64
	root     tlog.Hash
	cosigned map[int64]tlog.Hash // root of each size
	suspects map[int64][]tlog.Hash
	accepted map[string]bool
	forks    map[string]bool // seen and not accepted
	paused   bool
}

func fork(size int64, a, b tlog.Hash) string { return fmt.Sprintf("%d %x %x", size, a, b) }

// see notes a fork unless an operator has accepted it.
func (m *model) see(size int64, a, b tlog.Hash) {
	if f := fork(size, a, b); !m.accepted[f] {
		m.forks[f] = true
	}
}

// answer is the status that a request must get. It changes the model.
func (m *model) answer(q *tlog.AddCheckpoint, signed bool) int {
	c := q.Checkpoint
	if !m.known {
		return http.StatusNotFound
	}
	if !signed {
		return http.StatusForbidden
	}
	status := http.StatusOK
	switch {
	case q.Old > c.Size:
		status = http.StatusBadRequest
	case q.Old != m.size:
		status = http.StatusConflict
	case tlog.VerifyConsistency(m.size, c.Size, m.root, c.Root, q.Proof) != nil:
		status = http.StatusUnprocessableEntity
	}
	if status != http.StatusOK {
		if root, ok := m.cosigned[c.Size]; ok && c.Size > 0 && root != c.Root {
			m.see(c.Size, root, c.Root)
		} else if status == http.StatusUnprocessableEntity && m.cosigned != nil && len(m.cosigned) > 0 {
			m.suspects[c.Size] = append(m.suspects[c.Size], c.Root)
		}
		return status
	}
	if len(m.forks) > 0 || m.paused {
		return http.StatusServiceUnavailable
	}
	if c.Size != m.size {
		for _, r := range m.suspects[c.Size] {
			if r != c.Root {
				m.see(c.Size, c.Root, r)
			}
		}
		if len(m.forks) > 0 {
			return http.StatusServiceUnavailable
		}
	}
	m.size, m.root = c.Size, c.Root
	m.cosigned[c.Size] = c.Root
	return http.StatusOK
}

var models atomic.Int64

// Random requests in random order, honest, stale, repeated, forged and forked,
// are answered as the model says; never are two roots of one size cosigned, and
// the size never goes back.
func TestModel(t *testing.T) {
	each(t, func(t *testing.T, w *witness.Witness, _ witness.Options) {
		rapid.Check(t, func(rt *rapid.T) { play(t, rt, w) })
	})
}

func play(t *testing.T, rt *rapid.T, w *witness.Witness) {
	m := &model{root: tlog.EmptyRoot(), cosigned: map[int64]tlog.Hash{}, suspects: map[int64][]tlog.Hash{}, accepted: map[string]bool{}, forks: map[string]bool{}}
	base := newLog(t, fmt.Sprintf("log.example/%d", models.Add(1))).grow(24, "entry")
	histories := []*testLog{base, base.fork(0, 24, "second"), base.fork(7, 24, "third"), base.fork(15, 24, "fourth")}
	var sent []*tlog.AddCheckpoint
	for range rapid.IntRange(5, 30).Draw(rt, "steps") {
		switch step := rapid.IntRange(0, 19).Draw(rt, "step"); {
		case step == 0:
			addLog(t, w, base)
			m.known = true
		case step == 1 && m.known:
			if err := w.Pause(t.Context(), base.origin, "a reason"); err != nil {
				rt.Fatal(err)
			}
			m.paused = true
		case step <= 4 && m.known:
			if err := w.Resume(t.Context(), base.origin, "a reason"); err != nil {
				rt.Fatal(err)
			}
			for f := range m.forks {
				m.accepted[f] = true
			}
			clear(m.forks)
			m.paused = false
		case step <= 6 && len(sent) > 0:
			check(rt, w, m, rapid.SampledFrom(sent).Draw(rt, "repeated"), true)
		default:
			if !m.known && step > 8 {
				addLog(t, w, base)
				m.known = true
			}
			q, signed := draw(rt, m, histories)
			check(rt, w, m, q, signed)
			if signed {
				sent = append(sent, q)
			}
		}
	}
	if m.known {
		s, err := w.Get(t.Context(), base.origin)
		if err != nil || s.Size != m.size || s.Root != m.root || s.Forked != (len(m.forks) > 0) || s.Paused != m.paused {
			rt.Fatalf("size %d, root %v, forked %v, paused %v, %v; the model %+v", s.Size, s.Root, s.Forked, s.Paused, err, m)
		}
	}
}

// draw makes a request: often one that goes on where the log is.
func draw(rt *rapid.T, m *model, histories []*testLog) (q *tlog.AddCheckpoint, signed bool) {
	h := histories[max(0, rapid.IntRange(-6, 3).Draw(rt, "history"))]
	old := m.size
	if rapid.IntRange(0, 5).Draw(rt, "stale") == 0 {
		old = rapid.Int64Range(0, 24).Draw(rt, "old")
	}
	size := rapid.Int64Range(0, 24).Draw(rt, "size")
	if rapid.IntRange(0, 3).Draw(rt, "near") > 0 {
		size = min(24, old+rapid.Int64Range(0, 4).Draw(rt, "step up"))
	}
	q, signed = h.request(old, size), true
	switch rapid.IntRange(0, 9).Draw(rt, "spoil") {
	case 0:
		q.Proof = append(q.Proof, tlog.Hash{})
	case 1:
		s := &q.Checkpoint.Signatures[0]
		s.Bytes = append([]byte(nil), s.Bytes...)
		s.Bytes[9] ^= 1
		signed = false
	}
	return q, signed
}

func check(rt *rapid.T, w *witness.Witness, m *model, q *tlog.AddCheckpoint, signed bool) {
	before := m.size
	root, had := m.cosigned[q.Checkpoint.Size]
	want := m.answer(q, signed)
	rec := post(w, q)
	if rec.Code != want {
		rt.Fatalf("old %d, %s: status %d %q, the model says %d", q.Old, q.Checkpoint.Checkpoint, rec.Code, rec.Body, want)
	}
	if rec.Code != http.StatusOK {
		return
	}
	if m.size < before || had && root != q.Checkpoint.Root {
		rt.Fatalf("cosigned %s after size %d", q.Checkpoint.Checkpoint, before)
	}
	sigs, err := tlog.ParseSignatures(rec.Body.Bytes())
	if err != nil {
		rt.Fatal(err)
	}
	for _, v := range w.Verifiers() {
		if at, err := v.Verify(&tlog.SignedCheckpoint{Checkpoint: q.Checkpoint.Checkpoint, Signatures: sigs}); err != nil || at.IsZero() {
			rt.Fatalf("%v, %v", at, err)
		}
	}
}
