package circle

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"vitrine.example/digest"
	"vitrine.example/proof"
)

// between keeps the lists between what counts and what it counts for, whatever they
// are themselves: without them the file would not say what all statements say.
func (e *evaluation) between() {
	for _, d := range slices.SortedFunc(maps.Keys(e.byDigest), compare) {
		for s := e.byDigest[d]; s != nil && s.used != nil; {
			above := e.above(s)
			if above == nil || above.used != nil {
				break // what is above it has its own turn
			}
			above.used, above.by = above.places[0], s.by
			s = above
		}
	}
}

// above is the list that a list follows on, or that something is said of.
func (e *evaluation) above(s *speech) *speech {
	d := s.places[0].Envelope.Statement().Subject[0].SHA256()
	if s.circle != nil {
		if s.circle.Previous == nil {
			return nil
		}
		d = *s.circle.Previous
	}
	if up := e.byDigest[d]; up != nil && up.circle != nil {
		return up
	}
	return nil
}

// Fit is [Evaluate] where a file can hold only so many statements. Where more
// count, it keeps all that the list in force and its keys rest on, and gives the
// room that is left to the members in turn: whoever says more than others is
// heard less, and nobody keeps others from being heard. Which statements are kept
// depends on the set of them alone, as everything here does. [ErrFull] where what
// the list rests on has no room.
func Fit(root digest.Digest, items []proof.Logged, limit int) (*History, error) {
	e, h, err := evaluate(root, items)
	if err != nil || len(h.Used) <= limit {
		return h, err
	}
	r := &room{e: e, limit: limit, in: map[digest.Digest]*speech{}}
	r.necessary(h)
	if len(r.in) > limit {
		return nil, fmt.Errorf("%w: %d, at most %d", ErrFull, len(r.in), limit)
	}
	r.share()
	fitting, err := Evaluate(root, r.items())
	if err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(fitting.Current, h.Current) {
		return nil, fmt.Errorf("%w: %d, at most %d, and more than that is needed to know the list in force", ErrFull, len(h.Used), limit)
	}
	return fitting, nil
}

// room is a Fit under way.
type room struct {
	e     *evaluation
	limit int
	in    map[digest.Digest]*speech
}

func (r *room) add(s *speech) { r.in[s.digest] = s }

// necessary keeps the lists that have enough, one statement of each member about
// each of them under each of its keys, and what keys are suspended by.
func (r *room) necessary(h *History) {
	for _, n := range r.e.nodes {
		if !n.carried {
			continue
		}
		r.add(n.speech)
		r.onceEach(n.digest)
		if n.parent != nil {
			r.goneOn(n)
		}
	}
	for _, k := range h.Current.Suspended {
		for _, s := range r.e.grounds[k] {
			r.add(s)
		}
	}
}

// onceEach keeps one consent and one leave of each member and key about a list.
func (r *room) onceEach(list digest.Digest) {
	type once struct {
		origin string
		key    digest.Digest
		leave  bool
	}
	seen := map[once]bool{}
	for _, s := range r.e.about[list] {
		if s.used == nil || s.circle != nil {
			continue
		}
		o := once{origin: s.origin(), key: s.used.Envelope.KeyID(), leave: s.leave != nil}
		if !seen[o] {
			seen[o] = true
			r.add(s)
		}
	}
}

// goneOn keeps, for each member that agreed with n only by going on below it, the
// first statement that shows it, and the lists between.
func (r *room) goneOn(n *node) {
	for _, origin := range slices.Sorted(maps.Keys(n.voters)) {
		if n.direct[origin] {
			continue
		}
		for _, s := range r.e.path(n.digest, func(s *speech) bool {
			m := agrees(s, n.parent)
			return m != nil && m.Origin == origin && s.holds(m, n.revoked) == nil
		}) {
			r.add(s)
		}
	}
}

// path returns the first statement below a list for which f holds, after the lists
// that it hangs on; nil where there is none.
func (e *evaluation) path(list digest.Digest, f func(*speech) bool) []*speech {
	for _, s := range e.about[list] {
		if s.circle == nil {
			continue
		}
		if f(s) {
			return []*speech{s}
		}
		for _, x := range e.about[s.digest] {
			if x.consent != nil && f(x) {
				return []*speech{s, x}
			}
		}
		if rest := e.path(s.digest, f); rest != nil {
			return append([]*speech{s}, rest...)
		}
	}
	return nil
}

// origin is that of the member for whom a consent or leave speaks.
func (s *speech) origin() string {
	if s.leave != nil {
		return s.leave.Origin
	}
	return s.consent.Origin
}

// waiting is a statement that is kept where there is room, after the list that it
// speaks of.
type waiting struct {
	*speech
	list    *speech // nil: it is a list itself
	version int64
}

// share gives the room that is left to the members in turn, of each the newest first.
func (r *room) share() {
	queues := r.queues()
	for more := true; more; {
		more = false
		for _, by := range slices.Sorted(maps.Keys(queues)) {
			q := queues[by]
			for len(q) > 0 && r.in[q[0].digest] != nil {
				q = q[1:]
			}
			if len(q) > 0 {
				w := q[0]
				q, more = q[1:], true
				r.admit(w)
			}
			queues[by] = q
		}
	}
}

// admit keeps a statement, with its list, if both have room.
func (r *room) admit(w waiting) {
	need := 1
	if w.list != nil && r.in[w.list.digest] == nil {
		need++
	}
	if len(r.in)+need > r.limit {
		return
	}
	if w.list != nil {
		r.add(w.list)
	}
	r.add(w.speech)
}

// queues puts what counts, and is not kept yet, behind whom it is counted against:
// the member that says it; for what those say whom a member would like to bring
// along, that member.
func (r *room) queues() map[string][]waiting {
	out := map[string][]waiting{}
	put := func(by string, w waiting) {
		if w.used != nil && r.in[w.digest] == nil {
			out[by] = append(out[by], w)
		}
	}
	seen := map[digest.Digest]bool{}
	for _, n := range r.e.nodes {
		seen[n.digest] = true
		put(n.version.Proposer, waiting{speech: n.speech, version: n.circle.Version})
		for _, s := range r.e.about[n.digest] {
			if s.circle != nil {
				continue
			}
			by := s.origin()
			if !n.carried && n.parent.version.States[by] != Confirmed {
				by = n.version.Proposer
			}
			seen[s.digest] = true
			put(by, waiting{speech: s, list: n.speech, version: n.circle.Version})
		}
	}
	for d, s := range r.e.byDigest { // agreement with lists above, on lists that are none
		if s.used != nil && !seen[d] {
			put(s.by, waiting{speech: s})
		}
	}
	for by := range out {
		slices.SortFunc(out[by], func(a, b waiting) int {
			return cmp.Or(cmp.Compare(b.version, a.version), compare(a.group(), b.group()), cmp.Compare(a.rank(), b.rank()), compare(a.digest, b.digest))
		})
	}
	return out
}

// group is the list that a statement belongs to.
func (w waiting) group() digest.Digest {
	if w.list != nil {
		return w.list.digest
	}
	return w.digest
}

// rank puts a list before what is said of it.
func (w waiting) rank() int {
	if w.list != nil {
		return 1
	}
	return 0
}

// items are the statements that are kept, in the order of their digests.
func (r *room) items() []proof.Logged {
	var out []proof.Logged
	for _, d := range slices.SortedFunc(maps.Keys(r.in), compare) {
		l := r.in[d].used
		if l == nil {
			l = r.in[d].places[0] // a list on the way to one that counts
		}
		out = append(out, proof.Logged{Envelope: l.Envelope, Proof: l.Proof})
	}
	return out
}
