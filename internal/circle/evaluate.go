package circle

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"filippo.io/mldsa"

	"vitrine.example/digest"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// speech is one statement with every place that was given for it.
type speech struct {
	digest  digest.Digest
	places  []*proof.Logged // in the order of their proofs' texts
	circle  *statement.Circle
	consent *statement.Consent
	leave   *statement.Leave
	used    *proof.Logged // the place that held
	by      string        // the member that agrees with lists above by it
	reason  string        // why it does not count

	checked map[check]error // signatures that were looked at before
}

// check is a place under a key: a statement key's, or a vkey.
type check struct {
	place *proof.Logged
	key   string
}

// once checks a signature, but not twice: a statement is asked for from every
// list above it.
func (s *speech) once(l *proof.Logged, key string, f func() error) error {
	c := check{l, key}
	err, ok := s.checked[c]
	if !ok {
		if s.checked == nil {
			s.checked = map[check]error{}
		}
		err = f()
		s.checked[c] = err
	}
	return err
}

// node is a proposal whose proposer and parent hold.
type node struct {
	*speech
	parent   *node
	version  *Version
	children []*node
	carried  bool
	revoked  map[digest.Digest]bool // by this list and those before it
	voters   map[string]bool        // origins, in the parent's list: of this or of what follows on it
	direct   map[string]bool        // those that agreed with this itself
	left     map[string]bool        // said so of this version
	signers  map[digest.Digest]*statement.Member
}

type evaluation struct {
	byDigest map[digest.Digest]*speech
	about    map[digest.Digest][]*speech // consents and leaves by the circle's statement; proposals by previous
	suspend  map[digest.Digest]bool
	grounds  map[digest.Digest][]*speech // by suspended key: what suspends it, and the lists above
	nodes    []*node
}

// Evaluate computes who belongs. The root is the digest of the first version's
// statement; it is all that has to be trusted.
func Evaluate(root digest.Digest, items []proof.Logged) (*History, error) {
	_, h, err := evaluate(root, items)
	return h, err
}

func evaluate(root digest.Digest, items []proof.Logged) (*evaluation, *History, error) {
	e := &evaluation{byDigest: map[digest.Digest]*speech{}, about: map[digest.Digest][]*speech{}, suspend: map[digest.Digest]bool{}, grounds: map[digest.Digest][]*speech{}}
	for i := range items {
		e.add(&items[i])
	}
	e.index()
	first, err := e.first(root)
	if err != nil {
		return nil, nil, err
	}
	e.grow(first)
	e.suspensions()
	chain := decide(first)
	h := &History{Root: root, Current: e.current(chain)}
	e.tell(h, chain)
	return e, h, nil
}

func (e *evaluation) add(l *proof.Logged) {
	if l.Envelope == nil || l.Proof == nil || l.Proof.Checkpoint == nil {
		return
	}
	d := l.Envelope.Digest()
	s, ok := e.byDigest[d]
	if !ok {
		s = &speech{digest: d, reason: "it belongs to no version that is known here"}
		st := l.Envelope.Statement()
		if c, err := st.Circle(); err == nil {
			s.circle = c
		} else if c, err := st.Consent(); err == nil {
			s.consent = c
		} else if c, err := st.Leave(); err == nil {
			s.leave = c
		} else {
			s.reason = "it is not about a circle"
		}
		e.byDigest[d] = s
	}
	s.places = append(s.places, l)
}

// index puts everything in an order of its own, whatever order it came in.
func (e *evaluation) index() {
	for _, d := range slices.SortedFunc(maps.Keys(e.byDigest), compare) {
		s := e.byDigest[d]
		// The longest tree first: it is the freshest proof.
		slices.SortStableFunc(s.places, func(a, b *proof.Logged) int {
			if n := b.Proof.Checkpoint.Size - a.Proof.Checkpoint.Size; n != 0 {
				return map[bool]int{true: 1, false: -1}[n > 0]
			}
			return strings.Compare(string(a.Proof.Marshal()), string(b.Proof.Marshal()))
		})
		switch {
		case s.circle != nil && s.circle.Previous != nil:
			e.about[*s.circle.Previous] = append(e.about[*s.circle.Previous], s)
		case s.consent != nil || s.leave != nil:
			about := s.places[0].Envelope.Statement().Subject[0].SHA256()
			e.about[about] = append(e.about[about], s)
		}
	}
}

func compare(a, b digest.Digest) int { return strings.Compare(a.String(), b.String()) }

// first makes the tree's root: its founder is the member whose key signed it.
func (e *evaluation) first(root digest.Digest) (*node, error) {
	s := e.byDigest[root]
	if s == nil || s.circle == nil || s.circle.Version != 1 {
		return nil, fmt.Errorf("%w: sha256:%s", ErrNoRoot, root)
	}
	if err := checkVKeys(s.circle); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoRoot, err)
	}
	n := newNode(s, nil)
	founder := n.signer(s)
	if founder == nil {
		return nil, fmt.Errorf("%w: its signer is none of its members", ErrNoRoot)
	}
	if err := s.holds(founder, n.revoked); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoRoot, err)
	}
	n.propose(founder.Origin)
	n.carried, n.version.Have, n.version.Need = true, 1, 1
	return n, nil
}

func newNode(s *speech, parent *node) *node {
	n := &node{speech: s, parent: parent, revoked: map[digest.Digest]bool{}, voters: map[string]bool{}, direct: map[string]bool{}, left: map[string]bool{}}
	if parent != nil {
		maps.Copy(n.revoked, parent.revoked)
	}
	for _, r := range s.circle.Revoked {
		n.revoked[r.Key] = true
	}
	n.version = &Version{Statement: s.digest, Circle: s.circle, Status: Proposed}
	return n
}

// propose notes who proposed: that is that member's consent as well.
func (n *node) propose(origin string) {
	n.version.Proposer, n.version.Index = origin, n.used.Proof.Index
	n.voters[origin], n.direct[origin] = true, true
	n.version.Consents = append(n.version.Consents, Vote{
		Origin: origin, Statement: n.digest, Index: n.used.Proof.Index, At: n.circle.Published, Counts: true,
	})
}

// signer returns the member whose statement key the envelope names. The index is
// made once for each list: anybody can send many statements.
func (n *node) signer(s *speech) *statement.Member {
	if n.signers == nil {
		n.signers = map[digest.Digest]*statement.Member{}
		for i := range n.circle.Members {
			for _, k := range n.circle.Members[i].Statement {
				n.signers[k.ID()] = &n.circle.Members[i]
			}
		}
	}
	return n.signers[s.places[0].Envelope.KeyID()]
}

// holds checks that m signed the statement with a listed key that is not
// revoked, and that m's own log holds it under a checkpoint that a listed log
// key signed. It notes the place that held.
func (s *speech) holds(m *statement.Member, revoked map[digest.Digest]bool) error {
	var why error
	for _, l := range s.places {
		err := s.holdsAt(l, m, revoked)
		if err == nil {
			s.used = l
			return nil
		}
		if why == nil {
			why = err
		}
	}
	return why
}

func (s *speech) holdsAt(l *proof.Logged, m *statement.Member, revoked map[digest.Digest]bool) error {
	if l.Proof.Extra != nil {
		return errors.New("its proof has extra data")
	}
	if got := l.Proof.Checkpoint.Origin; got != m.Origin {
		return fmt.Errorf("it stands in the log %.80q, not in the member's own, %s", got, m.Origin)
	}
	if err := s.signed(l, m, revoked); err != nil {
		return err
	}
	why := fmt.Errorf("%s has no log key left", m.Origin)
	for _, k := range m.Log {
		if revoked[k.ID()] {
			continue
		}
		why = s.once(l, k.Key, func() error {
			v, err := tlog.ParseVerifier(k.Key)
			if err != nil {
				return err
			}
			_, err = v.Verify(l.Proof.Checkpoint)
			return err
		})
		if why == nil {
			return nil
		}
	}
	return fmt.Errorf("its checkpoint: %w", why)
}

// signed checks signature and place under a statement key of m.
func (s *speech) signed(l *proof.Logged, m *statement.Member, revoked map[digest.Digest]bool) error {
	id := l.Envelope.KeyID()
	for _, k := range m.Statement {
		if k.ID() != id {
			continue
		}
		if revoked[id] {
			return fmt.Errorf("key %s is revoked", id)
		}
		return s.once(l, k.Key, func() error {
			p, err := key.ParsePublic([]byte(k.Key))
			if err != nil {
				return err
			}
			return l.Verify(p)
		})
	}
	return fmt.Errorf("key %s is none of %s", l.Envelope.KeyID(), m.Origin)
}

// rawKey is the public key without name and type.
func rawKey(v tlog.Verifier) string {
	switch k := v.PublicKey().(type) {
	case ed25519.PublicKey:
		return string(k)
	case *mldsa.PublicKey:
		return string(k.Bytes())
	}
	return v.String()
}
