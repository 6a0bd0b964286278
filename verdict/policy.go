package verdict

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"vitrine.example/digest"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// Bounds of a policy.
const (
	MaxPolicy = 256 << 10 // bytes of a policy file
	MaxList   = 64        // logs, witnesses, groups, signers
	MaxName   = 128       // bytes of a name
	MinAge    = time.Minute
	MaxAge    = 10 * 366 * 24 * time.Hour
)

// Policy is what its author asks of a release before using it.
type Policy struct {
	Product   string              // package URL without version; empty: any
	Channel   string              // empty: any
	Versions  []string            // allowed versions; empty: any
	MaxAge    time.Duration       // of the newest time that the quorum vouches for; 0: not asked
	Log       tlog.Policy         // which logs (any one of them), which witnesses, which quorum
	Operators map[string]Operator // who runs a witness, by its name in Log; may be nil
	// Continents is on how many continents the witnesses that count must be; 0: not asked.
	Continents int
	// AcceptForks are the digests of fork evidence (tlog.Fork.Digest) that refuses nothing.
	AcceptForks []digest.Digest
	Signers     []Signer // any one of them that may say what is needed
	Rebuilds    Rebuilds // how many others must have built the release again
}

// Signer is a statement key that is trusted for some predicate types.
type Signer struct {
	Name string
	Key  key.Public
	May  []string // predicate types, whole
	Operator
}

// Operator says who runs a witness or holds a key. It is for words and for keeping
// one organisation from counting twice; every field may be empty.
type Operator struct {
	Organisation string
	Country      string // ISO 3166-1 alpha-2
	Continent    string // one of Continents
}

// Continents are the names that [Operator] knows.
var Continents = []string{"Africa", "Antarctica", "Asia", "Europe", "North America", "Oceania", "South America"}

// knownTypes are the predicate types that a policy may trust a key for.
var knownTypes = []string{statement.ReleaseType, statement.RebuildType}

// Kinds of errors of policies, for errors.Is.
var (
	ErrSyntax     = errors.New("not a policy file") // not TOML, or not of the shape of docs/spec/policy.md
	ErrUnknownKey = errors.New("unknown key")       // a key that docs/spec/policy.md does not have
	ErrValue      = errors.New("not allowed")       // a value that its key cannot have
	ErrNeverMet   = errors.New("can never be met")  // no release could ever be accepted
	ErrTwice      = errors.New("counts twice")      // one key or organisation in two places
)

// PolicyError says what is wrong with a policy, and where.
type PolicyError struct {
	Line int    // in the file, from 1; 0 where there is no file
	Path string // like signer[2].key, counted from 1; empty: the whole
	Kind error  // one of the errors above
	Err  error  // the reason
}

// Error names line, key and reason.
func (e *PolicyError) Error() string {
	s := "policy"
	if e.Line > 0 {
		s += fmt.Sprintf(" line %d", e.Line)
	}
	if e.Path != "" {
		s += ": " + e.Path
	}
	if e.Kind == ErrNeverMet || e.Kind == ErrTwice {
		s += ": " + e.Kind.Error()
	}
	return s + ": " + e.Err.Error()
}

// Unwrap returns the kind and the reason.
func (e *PolicyError) Unwrap() []error { return []error{e.Kind, e.Err} }

func at(path string, kind error, format string, args ...any) *PolicyError {
	return &PolicyError{Path: path, Kind: kind, Err: fmt.Errorf(format, args...)}
}

// Validate refuses what [ParsePolicy] refuses, for a policy made in memory: the
// error is a [PolicyError].
func (p *Policy) Validate() error {
	for _, check := range []func() *PolicyError{
		p.checkRelease, p.checkForks, p.checkLogs, p.checkWitnesses, p.checkQuorum, p.checkContinents, p.checkSigners, p.checkRebuilds, p.checkKeys, p.checkAge,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if err := p.Log.Validate(); err != nil {
		return at("", ErrValue, "%w", err)
	}
	return nil
}

func (p *Policy) checkRelease() *PolicyError {
	if p.Product != "" {
		if err := statement.CheckProduct(p.Product); err != nil {
			return at("product", ErrValue, "%w", err)
		}
	}
	if p.Channel != "" && !isChannel(p.Channel) {
		return at("channel", ErrValue, "%.80q: 1 to 64 of a-z, 0-9 and hyphen", p.Channel)
	}
	if len(p.Versions) > MaxList {
		return at("versions", ErrValue, "%d versions, at most %d", len(p.Versions), MaxList)
	}
	for i, v := range p.Versions {
		if err := statement.CheckVersion(v); err != nil {
			return at("versions", ErrValue, "%w", err)
		}
		if slices.Contains(p.Versions[:i], v) {
			return at("versions", ErrValue, "%q stands twice", v)
		}
	}
	return nil
}

func (p *Policy) checkForks() *PolicyError {
	if len(p.AcceptForks) > MaxList {
		return at("accept-forks", ErrValue, "%d forks, at most %d", len(p.AcceptForks), MaxList)
	}
	for i, d := range p.AcceptForks {
		if d.IsZero() {
			return at("accept-forks", ErrValue, "no digest")
		}
		if slices.Contains(p.AcceptForks[:i], d) {
			return at("accept-forks", ErrValue, "%s%s stands twice", forkPrefix, d)
		}
	}
	return nil
}

func (p *Policy) checkLogs() *PolicyError {
	if len(p.Log.Logs) == 0 {
		return at("log", ErrNeverMet, "no log is trusted; add a [[log]] with its key")
	}
	if len(p.Log.Logs) > MaxList {
		return at("log", ErrValue, "%d logs, at most %d", len(p.Log.Logs), MaxList)
	}
	for i, l := range p.Log.Logs {
		switch l.Key.Type() {
		case tlog.Ed25519, tlog.MLDSA44Cosignature:
		default:
			return at(path("log", i, "key"), ErrValue, "key type %#02x is not that of a log", byte(l.Key.Type()))
		}
		if err := checkKeyName(l.Key, path("log", i, "key")); err != nil {
			return err
		}
	}
	return nil
}

// checkKeyName refuses names that signed-note allows and a verdict cannot show.
func checkKeyName(v tlog.Verifier, where string) *PolicyError {
	if i := strings.IndexFunc(v.Name(), func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		return at(where, ErrValue, "key name %.80q has characters that cannot be printed", v.Name())
	}
	return nil
}

func (p *Policy) checkSigners() *PolicyError {
	if len(p.Signers) == 0 {
		return at("signer", ErrNeverMet, "nobody is trusted; add a [[signer]] with its key")
	}
	if len(p.Signers) > MaxList {
		return at("signer", ErrValue, "%d signers, at most %d", len(p.Signers), MaxList)
	}
	releases := false
	for i, s := range p.Signers {
		if !isTitle(s.Name) {
			return at(path("signer", i, "name"), ErrValue, "%.80q is not a name", s.Name)
		}
		for _, t := range p.Signers[:i] {
			if t.Name == s.Name {
				return at(path("signer", i, "name"), ErrValue, "%q stands twice", s.Name)
			}
		}
		if s.Key.IsZero() {
			return at(path("signer", i, "key"), ErrValue, "no key")
		}
		if err := s.check("signer", i); err != nil {
			return err
		}
		if len(s.May) == 0 {
			return at(path("signer", i, "may"), ErrValue, "%q may say nothing; write may = [\"release/v1\"]", s.Name)
		}
		for j, m := range s.May {
			if !slices.Contains(knownTypes, m) {
				return at(path("signer", i, "may"), ErrValue, "unknown predicate type %.200q; known: %s", m, shortTypes(knownTypes))
			}
			if slices.Contains(s.May[:j], m) {
				return at(path("signer", i, "may"), ErrValue, "%q stands twice", shortType(m))
			}
			releases = releases || m == statement.ReleaseType
		}
	}
	if !releases {
		return at("signer", ErrNeverMet, "nobody may sign releases")
	}
	return nil
}

func (p *Policy) checkAge() *PolicyError {
	if p.MaxAge == 0 {
		return nil
	}
	if p.MaxAge < MinAge || p.MaxAge > MaxAge {
		return at("max-age", ErrValue, "%s: at least %s, at most %s", p.MaxAge, MinAge, MaxAge)
	}
	if len(p.Log.Witnesses) > 0 {
		return nil
	}
	for _, l := range p.Log.Logs {
		if l.Key.Type() != tlog.Ed25519 {
			return nil
		}
	}
	return at("max-age", ErrNeverMet, "nobody here signs a time: the logs' keys do not, and no [[witness]] is listed")
}

// checkKeys refuses one key in two places, whatever its names and types, so that
// nobody meets two requirements at once. Between roles too: a log that were its
// own witness, or that wrote what it logs, would be no check on itself.
func (p *Policy) checkKeys() *PolicyError {
	type use struct {
		path, what string
		key        tlog.Verifier
	}
	var uses []use
	for i, l := range p.Log.Logs {
		uses = append(uses, use{path("log", i, "key"), "log " + l.Key.Name(), l.Key})
	}
	for i, w := range p.Log.Witnesses {
		uses = append(uses, use{path("witness", i, "key"), "witness " + w.Name, w.Key})
	}
	for i, u := range uses {
		for _, t := range uses[:i] {
			if u.key.SameKey(t.key) {
				return at(u.path, ErrTwice, "the key of %s is that of %s", u.what, t.what)
			}
		}
	}
	for i, s := range p.Signers {
		for _, t := range p.Signers[:i] {
			if s.Key.Equal(t.Key) {
				return at(path("signer", i, "key"), ErrTwice, "the key of %s is that of %s", s.Name, t.Name)
			}
		}
		if s.Key.Algorithm() != key.Ed25519 {
			continue // logs and witnesses have no key of that kind
		}
		k, err := tlog.NewVerifier("x", tlog.Ed25519, s.Key.Crypto())
		if err != nil {
			return at(path("signer", i, "key"), ErrValue, "%w", err)
		}
		for _, t := range uses {
			if k.SameKey(t.key) {
				return at(path("signer", i, "key"), ErrTwice, "the key of %s is that of %s", s.Name, t.what)
			}
		}
	}
	return nil
}

// path names the field of an element of a list, counted from 1 as people do.
func path(list string, i int, field string) string {
	return fmt.Sprintf("%s[%d].%s", list, i+1, field)
}

func shortType(t string) string { return strings.TrimPrefix(t, statement.Prefix) }

func shortTypes(ts []string) string {
	short := make([]string, len(ts))
	for i, t := range ts {
		short[i] = shortType(t)
	}
	return strings.Join(short, ", ")
}
