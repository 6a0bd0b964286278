package statement

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"vitrine.example/digest"
	"vitrine.example/key"
)

// Bounds of a circle (docs/spec/circle.md).
const (
	MaxMembers    = 256
	maxMemberKeys = 16 // of a kind
	maxRoles      = 16
	maxRevoked    = 1024
	maxVKey       = 4096 // bytes
	maxTitle      = 200  // characters of names and reasons
)

// Roles are the words for roles that the specification explains; others may be used.
var Roles = []string{"vendor", "centre", "certifier", "reviewer"}

// Validate checks c against the subjects of its statement.
func (c *Circle) Validate(subject []Subject) error {
	if err := checkCircleHead(c.Name, c.Version); err != nil {
		return err
	}
	switch {
	case c.Version == 1 && c.Previous != nil:
		return errors.New("previous: the first version has none")
	case c.Version > 1 && (c.Previous == nil || c.Previous.IsZero()):
		return errors.New("previous: missing: it is the digest of the statement of the version before")
	case len(c.Members) == 0 || len(c.Members) > MaxMembers:
		return fmt.Errorf("members: %d of them, want 1 to %d", len(c.Members), MaxMembers)
	case c.Rule.Consents < 0 || c.Rule.Consents > MaxMembers:
		return fmt.Errorf("rule/consents: %d, want 1 to %d, or none for a majority", c.Rule.Consents, MaxMembers)
	case c.Rule.Witnesses < 0 || c.Rule.Witnesses >= int64(len(c.Members)):
		return fmt.Errorf("rule/witnesses: %d, and a member has %d others", c.Rule.Witnesses, len(c.Members)-1)
	case len(c.Revoked) > maxRevoked:
		return fmt.Errorf("revoked: %d of them, at most %d", len(c.Revoked), maxRevoked)
	}
	if err := checkTime(c.Published); err != nil {
		return fmt.Errorf("published: %w", err)
	}
	if err := sameSubjects(subject, c.Subjects()); err != nil {
		return err
	}
	return c.checkLists()
}

// checkLists looks for what stands twice: a key that two members have would let
// one party speak for two.
func (c *Circle) checkLists() error {
	revoked := map[digest.Digest]bool{}
	for i := range c.Revoked {
		r := &c.Revoked[i]
		if err := r.check(); err != nil {
			return fmt.Errorf("revoked/%d: %w", i, err)
		}
		if revoked[r.Key] {
			return fmt.Errorf("revoked/%d: key %s twice", i, r.Key)
		}
		revoked[r.Key] = true
	}
	origins, keys := map[string]bool{}, map[digest.Digest]string{}
	for i := range c.Members {
		m := &c.Members[i]
		if err := m.check(); err != nil {
			return fmt.Errorf("members/%d: %w", i, err)
		}
		if origins[m.Origin] {
			return fmt.Errorf("members/%d: origin %s twice", i, m.Origin)
		}
		origins[m.Origin] = true
		for _, k := range m.Keys() {
			id := k.ID()
			if other, ok := keys[id]; ok {
				return fmt.Errorf("members/%d: key %s is listed already, of %s", i, id, other)
			}
			if revoked[id] {
				return fmt.Errorf("members/%d: key %s is revoked by this list", i, id)
			}
			keys[id] = m.Origin
		}
	}
	return nil
}

func (m *Member) check() error {
	if err := checkTitle(m.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if err := checkOrigin(m.Origin); err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	if !isPageURL(m.URL) || len(m.URL) > 512 {
		return fmt.Errorf("url: %.80q, want https://host or http://host", m.URL)
	}
	_, host, _ := strings.Cut(m.URL, "://")
	if name, _, _ := strings.Cut(host, ":"); name != m.Origin || strings.ContainsAny(host, "/?#") {
		return fmt.Errorf("url: %.80q is not scheme and host of the origin %s, and nothing else", m.URL, m.Origin)
	}
	if want := ContinentOf(m.Country); want == "" {
		return fmt.Errorf("country: %.20q is no ISO 3166-1 alpha-2 code", m.Country)
	} else if m.Continent != want {
		return fmt.Errorf("continent: %.20q, and %s lies in %s", m.Continent, m.Country, want)
	}
	if err := checkRoles(m.Roles); err != nil {
		return fmt.Errorf("roles: %w", err)
	}
	return m.checkKeys()
}

func (m *Member) checkKeys() error {
	for _, l := range []struct {
		name string
		keys []MemberKey
		min  int
	}{{"statement", m.Statement, 1}, {"log", m.Log, 1}, {"witness", m.Witness, 0}, {"mirror", m.Mirror, 0}} {
		if len(l.keys) < l.min || len(l.keys) > maxMemberKeys {
			return fmt.Errorf("%s: %d keys, want %d to %d", l.name, len(l.keys), l.min, maxMemberKeys)
		}
		for i, k := range l.keys {
			if err := k.check(l.name == "statement"); err != nil {
				return fmt.Errorf("%s/%d: %w", l.name, i, err)
			}
		}
	}
	return nil
}

// check leaves the inside of vkeys to whoever uses them (package circle).
func (k MemberKey) check(pem bool) error {
	if pem {
		if _, err := key.ParsePublic([]byte(k.Key)); err != nil {
			return fmt.Errorf("key: %w", err)
		}
	} else if len(k.Key) > maxVKey || !isFileText(k.Key) || strings.Count(k.Key, "+") < 2 {
		return fmt.Errorf("key: %.60q is no verifier key (vkey)", k.Key)
	}
	if !k.From.IsZero() {
		if err := checkTime(k.From); err != nil {
			return fmt.Errorf("from: %w", err)
		}
	}
	if k.Until.IsZero() {
		return nil
	}
	if err := checkTime(k.Until); err != nil {
		return fmt.Errorf("until: %w", err)
	}
	if !k.Until.After(k.From) {
		return errors.New("until: not after from")
	}
	return nil
}

func (r *Revocation) check() error {
	if r.Key.IsZero() {
		return errNoDigest("key")
	}
	if err := checkTime(r.Since); err != nil {
		return fmt.Errorf("since: %w", err)
	}
	if err := checkTitle(r.Reason); err != nil {
		return fmt.Errorf("reason: %w", err)
	}
	return nil
}

// Validate checks c against the subjects of its statement.
func (c *Consent) Validate(subject []Subject) error {
	return checkSpeech(subject, c.Circle, c.Version, c.Origin, func() error { return checkTime(c.At) })
}

// Validate checks l against the subjects of its statement.
func (l *Leave) Validate(subject []Subject) error {
	if l.Reason != "" {
		if err := checkTitle(l.Reason); err != nil {
			return fmt.Errorf("reason: %w", err)
		}
	}
	return checkSpeech(subject, l.Circle, l.Version, l.Origin, func() error { return checkTime(l.At) })
}

// checkSpeech checks what a member says of a circle: the subject is its statement.
func checkSpeech(subject []Subject, name string, version int64, origin string, at func() error) error {
	if err := checkCircleHead(name, version); err != nil {
		return err
	}
	if err := checkOrigin(origin); err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	if err := at(); err != nil {
		return fmt.Errorf("at: %w", err)
	}
	if len(subject) != 1 {
		return fmt.Errorf("%d subjects, want one: the circle's statement", len(subject))
	}
	return sameSubjects(subject, []Subject{NewSubject(name, subject[0].SHA256())})
}

func checkCircleHead(name string, version int64) error {
	if err := checkTitle(name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if version < 1 || version > maxInteger {
		return fmt.Errorf("version: %d, want 1 or more", version)
	}
	return nil
}

// sameSubjects wants exactly these names and digests, and nothing more.
func sameSubjects(have, want []Subject) error {
	if len(have) != len(want) {
		return fmt.Errorf("%d subjects, want %d", len(have), len(want))
	}
	for i := range want {
		a := Artifact{Name: want[i].Name, SHA256: want[i].SHA256()}
		if a.SHA256.IsZero() {
			return fmt.Errorf("subject %d: no digest", i)
		}
		if err := a.matches(&have[i]); err != nil {
			return fmt.Errorf("subject %d: %w", i, err)
		}
	}
	return nil
}

func checkTitle(s string) error {
	if !isFileText(s) || strings.Trim(s, " ") != s || utf8.RuneCountInString(s) > maxTitle {
		return fmt.Errorf("%.80q, want 1 to %d printable characters, no space at either end", s, maxTitle)
	}
	return nil
}

func checkOrigin(s string) error {
	if !isHost(s) || strings.Contains(s, ":") {
		return fmt.Errorf("%.80q is not a host in lower case", s)
	}
	return nil
}

func checkRoles(roles []string) error {
	if len(roles) == 0 || len(roles) > maxRoles {
		return fmt.Errorf("%d of them, want 1 to %d", len(roles), maxRoles)
	}
	for i, r := range roles {
		if !isChannel(r) {
			return fmt.Errorf("%.80q, want 1 to 64 of a-z, 0-9 and hyphen", r)
		}
		if slices.Contains(roles[:i], r) {
			return fmt.Errorf("%q twice", r)
		}
	}
	return nil
}
