package centre

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vitrine.example/internal/circle"
	"vitrine.example/statement"
)

// KeyInfo is one key of a node.
type KeyInfo struct {
	Kind   string    `json:"kind"`
	State  KeyState  `json:"state"`
	ID     string    `json:"id"`  // fingerprint, as the circle has it
	Key    string    `json:"key"` // PEM or vkey
	File   string    `json:"file"`
	Since  time.Time `json:"since,omitzero"`  // in this state; zero: always
	Circle string    `json:"circle,omitzero"` // what the list in force says of it; empty: no circle
	Learn  []string  `json:"learn,omitempty"` // who must still learn it
}

// Keys lists all keys of the node, as they lie on the disk.
func (h *Handle) Keys(ctx context.Context) ([]KeyInfo, error) {
	hist, err := h.Circle(ctx)
	if err != nil && !errors.Is(err, circle.ErrNone) {
		return nil, err
	}
	used := h.keys.used()
	r, err := readRing(h.dir, h.cfg, used)
	if err != nil {
		return nil, err
	}
	out := []KeyInfo{}
	for _, kind := range keyKinds {
		text, ok := used[kind.name]
		if !ok {
			continue
		}
		all := append(ring{{kind: kind, state: KeyInUse, file: kind.path(h.cfg), text: text, at: inUseSince(r, kind.name)}},
			r.of(kind.name, KeyPrepared, KeyOld, KeyRetired, KeyStolen)...)
		for _, k := range all {
			out = append(out, k.info(h.cfg.origin, hist))
		}
	}
	return out, nil
}

// inUseSince is when the key in use took the place of another.
func inUseSince(r ring, kind string) (at time.Time) {
	for _, k := range r.of(kind, KeyOld, KeyRetired, KeyStolen) {
		if k.at.After(at) {
			at = k.at
		}
	}
	return at
}

// info tells of a key, with what the circle says of it.
func (k ringKey) info(origin string, h *circle.History) KeyInfo {
	out := KeyInfo{Kind: k.kind.name, State: k.state, ID: k.id().String(), Key: k.text, File: k.file, Since: k.at}
	if h != nil {
		if m := ownEntry(h, origin); m != nil {
			out.Circle = k.standing(h, m)
			if out.Circle != circleLists && (k.state == KeyPrepared || k.state == KeyInUse) {
				out.Learn = append(out.Learn, "the circle "+h.Current.Name)
			}
		}
	}
	if k.state == KeyPrepared || k.state == KeyInUse && !k.at.IsZero() {
		out.Learn = append(out.Learn, k.learners()...)
	}
	return out
}

const circleLists = "listed"

// standing says what the list in force has of a key.
func (k ringKey) standing(h *circle.History, m *statement.Member) string {
	if revoked(h.Current, k.id()) {
		return "revoked"
	}
	if l, ok := k.kind.lists(m, k.text); ok {
		if !l.Until.IsZero() {
			return "listed until " + when(l.Until)
		}
		return circleLists
	}
	if v := k.kind.proposedIn(h, m.Origin, k.text); v > 0 {
		return fmt.Sprintf("proposed in version %d", v)
	}
	return "not listed"
}

// learners are those beside the circle who may know the key's predecessor alone:
// the node cannot know who they are.
func (k ringKey) learners() []string {
	switch k.kind.list {
	case statementKind:
		return []string{"customers: policies that were made before"}
	case "log":
		return []string{"customers: policies that were made before", "witnesses and mirrors outside of a circle"}
	case "witness":
		return []string{"logs outside of a circle that ask this witness, and their customers"}
	}
	return []string{"logs outside of a circle that push to this mirror"}
}

// when writes a time for people.
func when(t time.Time) string {
	if t.IsZero() {
		return "always"
	}
	return t.UTC().Format("2006-01-02 15:04:05 MST")
}

// warnKeys says in the journal, once for each list in force, which keys the node
// uses that the list does not have: those of an old copy, perhaps.
func (n *Node) warnKeys(h *circle.History) {
	m := ownEntry(h, n.cfg.origin)
	if m == nil || n.neighbours.warned == h.Current.Version {
		return
	}
	n.neighbours.warned = h.Current.Version
	for _, kind := range keyKinds {
		text, ok := n.keys.used()[kind.name]
		if !ok || len(kind.listed(m)) == 0 {
			continue
		}
		if _, ok := kind.lists(m, text); !ok {
			n.log.Error("the circle does not list a key that is in use; see `vitrine key list`", "kind", kind.name,
				"key", statement.MemberKey{Key: text}.ID(), "version", h.Current.Version)
		}
	}
}
