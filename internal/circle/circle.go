// Package circle says who belongs to a programme: which organisations, with
// which keys, agreed by whom.
//
// [Evaluate] computes a [History] and its [Current] list from statements with
// their places in logs, and from nothing else but the digest of the first
// version (docs/spec/circle.md). [Store] keeps the statements of a node's circle.
//
// Promises: what is computed depends on the set of statements alone, not on
// their order or repetition; a statement counts only where a key of its member
// signed it and the member's own log holds it; nobody alone can shrink the
// number of consents that a change needs. Not promised: that the checkpoints
// of members are not forked; witnesses and gossip see to that. DESIGN.md
// has the reasoning.
package circle

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"vitrine.example/digest"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// Errors that callers tell apart.
var (
	ErrNoRoot = errors.New("the first version of the circle is not among the statements, or does not hold")
	ErrNoKeys = errors.New("too few members have witness keys")
	ErrFull   = errors.New("the circle has more statements than a file can hold")
)

// Status is what became of a version.
type Status string

// What becomes of a version.
const (
	InForce    Status = "current"  // the newest that took effect
	Superseded Status = "past"     // it took effect, and so did one after it
	Proposed   Status = "proposed" // consents are missing
	Lost       Status = "lost"     // another of the same version won, or it hangs on one that lost
)

// State is what a listed member is.
type State string

// What a listed member is.
const (
	Confirmed State = "confirmed"
	Invited   State = "invited" // listed, has not agreed: counts for nothing
	Left      State = "left"    // said that it belongs no more: counts for nothing
)

// History is all that is known of a circle.
type History struct {
	Root     digest.Digest
	Versions []*Version // by version, then those in force first, then by digest
	Refused  []Refusal  // statements that do not count, and why; in the order of their digests
	Current  *Current
	Used     []proof.Logged // what counts and what lies between, in the order of digests: the circle's file
}

// Refusal says why a statement does not count.
type Refusal struct {
	Statement digest.Digest `json:"statement"`
	Reason    string        `json:"reason"`
}

// Version is one list, proposed or in force.
type Version struct {
	Statement digest.Digest
	*statement.Circle
	Status   Status
	Proposer string // origin
	Index    int64  // of the statement in the proposer's log
	Consents []Vote // by origin; the proposer's is the statement itself
	Have     int    // consents that count for taking effect
	Need     int
	States   map[string]State // of members by origin; nil where the version did not take effect
	Notes    []string         // contradictions, for people
}

// Vote is what a member said to a version.
type Vote struct {
	Origin    string        `json:"origin"`
	Statement digest.Digest `json:"statement"`
	Index     int64         `json:"index"` // in the member's log
	At        time.Time     `json:"at"`    // what the member says
	Counts    bool          `json:"counts" doc:"for taking effect; a new member's consent only confirms itself"`
}

// Current is the list in force.
type Current struct {
	Name      string
	Root      digest.Digest
	Version   int64
	Statement digest.Digest // of the version
	Rule      statement.Rule
	Members   []Member
	Revoked   []statement.Revocation // by the versions in force
	Suspended []digest.Digest        // keys that a proposal with enough backers revokes; in order
}

// Member is a listed organisation. Its lists hold no revoked or suspended key.
type Member struct {
	statement.Member
	State State
}

// Member returns the member of an origin.
func (c *Current) Member(origin string) (*Member, bool) {
	for i := range c.Members {
		if c.Members[i].Origin == origin {
			return &c.Members[i], true
		}
	}
	return nil, false
}

// Confirmed returns the members that count.
func (c *Current) Confirmed() []Member {
	var out []Member
	for _, m := range c.Members {
		if m.State == Confirmed {
			out = append(out, m)
		}
	}
	return out
}

// VKeys parses verifier keys of a member that are in use at t.
func VKeys(list []statement.MemberKey, t time.Time) ([]tlog.Verifier, error) {
	var out []tlog.Verifier
	for _, k := range list {
		if !k.Valid(t) {
			continue
		}
		v, err := tlog.ParseVerifier(k.Key)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// StatementKeys parses statement keys of a member that are in use at t.
func StatementKeys(list []statement.MemberKey, t time.Time) ([]key.Public, error) {
	var out []key.Public
	for _, k := range list {
		if !k.Valid(t) {
			continue
		}
		p, err := key.ParsePublic([]byte(k.Key))
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// WitnessPolicy returns the quorum for the log of a confirmed member at t: as
// many of the other confirmed members as the rule asks for, or all of them that
// are witnesses where there are fewer. Each member counts once, however many keys
// it has. A key that ends asks for no fewer: it is [ErrNoKeys] where too few
// members are left with keys in use.
func (c *Current) WitnessPolicy(origin string, t time.Time) (*tlog.Policy, error) {
	own, ok := c.Member(origin)
	if !ok || own.State != Confirmed {
		return nil, fmt.Errorf("circle %s: %s is no confirmed member", c.Name, origin)
	}
	p := &tlog.Policy{Quorum: tlog.QuorumNone}
	logs, err := VKeys(own.Log, t)
	if err != nil {
		return nil, err
	}
	for _, v := range logs {
		p.Logs = append(p.Logs, tlog.PolicyLog{Key: v, URL: own.URL})
	}
	all, able := tlog.PolicyGroup{Name: "circle"}, 0
	for _, m := range c.Confirmed() {
		if m.Origin == origin {
			continue
		}
		name, err := addWitness(p, &m, t)
		if err != nil {
			return nil, err
		}
		if name != "" {
			all.Members = append(all.Members, name)
		}
		if slices.ContainsFunc(m.Witness, func(k statement.MemberKey) bool { return !t.Before(k.From) }) {
			able++
		}
	}
	if all.K = min(int(c.Rule.Witnesses), able); all.K > len(all.Members) {
		return nil, fmt.Errorf("circle %s: %w: %d are asked for, and %d have a key in use: list new ones (vitrine circle propose --rotate)",
			c.Name, ErrNoKeys, all.K, len(all.Members))
	}
	if all.K > 0 {
		p.Groups = append(p.Groups, all)
		p.Quorum = all.Name
	}
	return p, p.Validate()
}

// addWitness adds a member's witness keys and returns what stands for the member.
func addWitness(p *tlog.Policy, m *Member, t time.Time) (string, error) {
	keys, err := VKeys(m.Witness, t)
	if err != nil || len(keys) == 0 {
		return "", err
	}
	g := tlog.PolicyGroup{Name: m.Origin, K: 1}
	for i, v := range keys {
		name := m.Origin
		if len(keys) > 1 {
			name = fmt.Sprintf("%s/%d", m.Origin, i+1)
		}
		p.Witnesses = append(p.Witnesses, tlog.PolicyWitness{Name: name, Key: v, URL: m.URL + "/witness/"})
		g.Members = append(g.Members, name)
	}
	if len(keys) > 1 {
		p.Groups = append(p.Groups, g)
	}
	return m.Origin, nil
}

// RootOf finds the one first version that k signed, for those who know the
// founder's key and not the digest.
func RootOf(items []proof.Logged, k key.Public) (digest.Digest, error) {
	var found []digest.Digest
	for i := range items {
		c, err := items[i].Envelope.Statement().Circle()
		if err != nil || c.Version != 1 || items[i].VerifySignature(k) != nil {
			continue
		}
		if d := items[i].Envelope.Digest(); !slices.Contains(found, d) {
			found = append(found, d)
		}
	}
	if len(found) != 1 {
		return digest.Digest{}, fmt.Errorf("%w: the key %s signed %d first versions", ErrNoRoot, k.ID(), len(found))
	}
	return found[0], nil
}

// checkVKeys refuses a list with verifier keys that cannot be used.
func checkVKeys(c *statement.Circle) error {
	for i := range c.Members {
		if err := CheckMember(&c.Members[i]); err != nil {
			return err
		}
	}
	return checkSameKeys(c)
}

// CheckMember checks what package statement leaves to its user: the inside of
// verifier keys, and that a log's is named after its origin.
func CheckMember(m *statement.Member) error {
	for _, l := range []struct {
		what  string
		keys  []statement.MemberKey
		types []tlog.KeyType
	}{
		{"log", m.Log, []tlog.KeyType{tlog.Ed25519, tlog.MLDSA44Cosignature}},
		{"witness", m.Witness, []tlog.KeyType{tlog.Ed25519Cosignature, tlog.MLDSA44Cosignature}},
		{"mirror", m.Mirror, []tlog.KeyType{tlog.Ed25519Cosignature, tlog.MLDSA44Cosignature}},
	} {
		for _, k := range l.keys {
			v, err := tlog.ParseVerifier(k.Key)
			if err != nil {
				return fmt.Errorf("member %s: %s key: %w", m.Origin, l.what, err)
			}
			if !slices.Contains(l.types, v.Type()) {
				return fmt.Errorf("member %s: %s key: of the wrong type, an %s", m.Origin, l.what, v.Type())
			}
			if l.what == "log" && v.Name() != m.Origin {
				return fmt.Errorf("member %s: log key: its name is %.80q, not the origin", m.Origin, v.Name())
			}
		}
	}
	return nil
}

// checkSameKeys refuses one public key under two names or in two roles: whoever
// has it would count twice.
func checkSameKeys(c *statement.Circle) error {
	owner := map[string]string{}
	for _, m := range c.Members {
		for _, list := range [][]statement.MemberKey{m.Log, m.Witness, m.Mirror} {
			for _, k := range list {
				v, err := tlog.ParseVerifier(k.Key)
				if err != nil {
					return err
				}
				raw := rawKey(v)
				if other, ok := owner[raw]; ok {
					return fmt.Errorf("members %s and %s: one public key twice, in %s", other, m.Origin, v.Name())
				}
				owner[raw] = m.Origin
			}
		}
	}
	return nil
}
