package verdict

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"vitrine.example/digest"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// forkPrefix stands before the digest of a fork that is accepted.
const forkPrefix = "sha256:"

// policyVersion is the version of the format in docs/spec/policy.md.
const policyVersion = 1

// The types below mirror docs/spec/policy.md. What later versions ask for gets
// a table of its own, so that a reader of this version refuses it as unknown
// instead of passing over it.
type policyFile struct {
	Version     int64         `toml:"version"`
	Product     string        `toml:"product"`
	Channel     string        `toml:"channel"`
	Versions    []string      `toml:"versions"`
	MaxAge      string        `toml:"max-age"`
	AcceptForks []string      `toml:"accept-forks"`
	Logs        []fileLog     `toml:"log"`
	Witnesses   []fileWitness `toml:"witness"`
	Groups      []fileGroup   `toml:"group"`
	Quorum      fileQuorum    `toml:"witnesses"`
	Signers     []fileSigner  `toml:"signer"`
	Rebuilds    fileRebuilds  `toml:"rebuilds"`
}

type fileLog struct {
	Key string `toml:"key"`
}

type fileWitness struct {
	Name         string `toml:"name"`
	Key          string `toml:"key"`
	Organisation string `toml:"organisation"`
	Country      string `toml:"country"`
	Continent    string `toml:"continent"`
}

type fileGroup struct {
	Name    string   `toml:"name"`
	Require int64    `toml:"require"`
	Of      []string `toml:"of"`
}

type fileQuorum struct {
	Require    int64    `toml:"require"`
	Continents int64    `toml:"continents"`
	Of         []string `toml:"of"`
}

type fileSigner struct {
	Name         string   `toml:"name"`
	Key          string   `toml:"key"`
	May          []string `toml:"may"`
	Organisation string   `toml:"organisation"`
	Country      string   `toml:"country"`
	Continent    string   `toml:"continent"`
}

type fileRebuilds struct {
	Require    int64 `toml:"require"`
	Continents int64 `toml:"continents"`
	Explained  bool  `toml:"explained"`
}

// ParsePolicy reads a policy file, strictly: TOML 1.0 in the shape of
// docs/spec/policy.md, no unknown key, nothing twice, and nothing that no
// release could meet. The error is a [PolicyError], which names line and key.
func ParsePolicy(b []byte) (*Policy, error) {
	if len(b) > MaxPolicy {
		return nil, at("", ErrSyntax, "%d bytes, at most %d", len(b), MaxPolicy)
	}
	outline, perr := readOutline(b)
	if perr != nil {
		return nil, perr
	}
	var f policyFile
	dec := toml.NewDecoder(strings.NewReader(string(b))).DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, syntaxError(err)
	}
	p, perr := f.policy(outline)
	if perr != nil {
		return nil, outline.locate(perr)
	}
	if err := p.Validate(); err != nil {
		var perr *PolicyError
		if errors.As(err, &perr) {
			return nil, outline.locate(perr)
		}
		return nil, err
	}
	return p, nil
}

func syntaxError(err error) *PolicyError {
	var de *toml.DecodeError
	var missing *toml.StrictMissingError
	if errors.As(err, &missing) && len(missing.Errors) > 0 {
		de = &missing.Errors[0]
	}
	if de == nil && !errors.As(err, &de) {
		return at("", ErrSyntax, "%s", tomlText(err))
	}
	e := at(clean(strings.Join(de.Key(), ".")), ErrSyntax, "%s", tomlText(de))
	e.Line, _ = de.Position()
	return e
}

// tomlText says a decoder's error without its prefix and without our Go types.
func tomlText(err error) string {
	text := strings.TrimPrefix(err.Error(), "toml: ")
	found, rest, ok := strings.Cut(text, " into struct field ")
	i := strings.LastIndex(rest, " of type ")
	if !ok || i < 0 {
		return clean(text)
	}
	want := map[string]string{"string": "a string", "int64": "an integer", "bool": "true or false", "[]string": "a list of strings"}[rest[i+len(" of type "):]]
	return clean(strings.TrimPrefix(found, "cannot decode TOML ") + " found, want " + want)
}

// policy turns the file's text into keys and durations.
func (f *policyFile) policy(o *outline) (*Policy, *PolicyError) {
	if !o.has("version") {
		return nil, at("version", ErrValue, "missing; write version = %d as the first line", policyVersion)
	}
	if f.Version != policyVersion {
		return nil, at("version", ErrValue, "%d: only version %d is known; get a newer vitrine", f.Version, policyVersion)
	}
	p := &Policy{Product: f.Product, Channel: f.Channel, Versions: f.Versions}
	if err := o.noneEmpty(f); err != nil {
		return nil, err
	}
	if o.has("max-age") {
		d, err := time.ParseDuration(f.MaxAge)
		if err != nil || d <= 0 {
			return nil, at("max-age", ErrValue, "%.80q: a time like \"72h\" or \"90m\"", f.MaxAge)
		}
		p.MaxAge = d
	}
	for _, s := range f.AcceptForks {
		hex, ok := strings.CutPrefix(s, forkPrefix)
		d, err := digest.Parse(hex)
		if !ok || err != nil {
			return nil, at("accept-forks", ErrValue, "%.80q: want %s and 64 lower-case hexadecimal digits, as `vitrine log verify-fork` shows them", s, forkPrefix)
		}
		p.AcceptForks = append(p.AcceptForks, d)
	}
	for i, l := range f.Logs {
		v, err := tlog.ParseVerifier(l.Key)
		if err != nil {
			return nil, at(path("log", i, "key"), ErrValue, "%w", err)
		}
		p.Log.Logs = append(p.Log.Logs, tlog.PolicyLog{Key: v})
	}
	if err := f.witnesses(p); err != nil {
		return nil, err
	}
	if err := f.quorum(p, o); err != nil {
		return nil, err
	}
	if err := f.signers(p); err != nil {
		return nil, err
	}
	return p, f.rebuilds(p, o)
}

func (f *policyFile) witnesses(p *Policy) *PolicyError {
	for i, w := range f.Witnesses {
		v, err := tlog.ParseVerifier(w.Key)
		if err != nil {
			return at(path("witness", i, "key"), ErrValue, "%w", err)
		}
		p.Log.Witnesses = append(p.Log.Witnesses, tlog.PolicyWitness{Name: w.Name, Key: v})
		if op := (Operator{w.Organisation, w.Country, w.Continent}); op != (Operator{}) {
			if p.Operators == nil {
				p.Operators = make(map[string]Operator)
			}
			if _, ok := p.Operators[w.Name]; !ok { // a name that stands twice is refused later
				p.Operators[w.Name] = op
			}
		}
	}
	return nil
}

func (f *policyFile) quorum(p *Policy, o *outline) *PolicyError {
	for i, g := range f.Groups {
		if g.Name == quorumName {
			return at(path("group", i, "name"), ErrValue, "%q is the name of what [witnesses] asks for", g.Name)
		}
		k, err := require(g.Require, len(g.Of), path("group", i, "require"))
		if err != nil {
			return err
		}
		p.Log.Groups = append(p.Log.Groups, tlog.PolicyGroup{Name: g.Name, K: k, Members: g.Of})
	}
	if !o.has("witnesses") {
		if len(f.Groups) > 0 {
			return at("group[1].name", ErrValue, "a [[group]] without [witnesses] asks for nothing")
		}
		p.Log.Quorum = noQuorum
		return nil
	}
	of := f.Quorum.Of
	if !o.has("witnesses.of") {
		if len(f.Groups) > 0 {
			return at("witnesses", ErrValue, "where there are groups, say what is counted: of = [\"…\"]")
		}
		for _, w := range f.Witnesses {
			of = append(of, w.Name)
		}
	}
	k, err := require(f.Quorum.Require, len(of), "witnesses.require")
	if err != nil {
		return err
	}
	p.Log.Groups = append(p.Log.Groups, tlog.PolicyGroup{Name: quorumName, K: k, Members: of})
	p.Log.Quorum = quorumName
	if o.has("witnesses.continents") {
		if n := f.Quorum.Continents; n < 1 || n > int64(len(Continents)) {
			return at("witnesses.continents", ErrValue, "%d: 1 to %d", n, len(Continents))
		}
		p.Continents = int(f.Quorum.Continents)
	}
	return nil
}

func require(n int64, of int, where string) (int, *PolicyError) {
	if n < 1 {
		return 0, at(where, ErrValue, "%d: at least 1", n)
	}
	if n > int64(of) {
		return 0, at(where, ErrNeverMet, "%d are required, but only %d are listed", n, of)
	}
	return int(n), nil
}

func (f *policyFile) signers(p *Policy) *PolicyError {
	for i, s := range f.Signers {
		if strings.ContainsRune(s.Key, '\r') {
			return at(path("signer", i, "key"), ErrValue, "carriage returns in the key: save the file with line feeds alone")
		}
		// A multi-line string may end before or after the last line's end.
		k, err := key.ParsePublic([]byte(strings.TrimSuffix(s.Key, "\n") + "\n"))
		if err != nil {
			return at(path("signer", i, "key"), ErrValue, "%w", err)
		}
		may := make([]string, len(s.May))
		for j, m := range s.May {
			may[j] = statement.Prefix + m
			if !slices.Contains(knownTypes, may[j]) {
				return at(path("signer", i, "may"), ErrValue, "unknown predicate type %.200q; known: %s", m, shortTypes(knownTypes))
			}
		}
		p.Signers = append(p.Signers, Signer{Name: s.Name, Key: k, May: may, Operator: Operator{s.Organisation, s.Country, s.Continent}})
	}
	return nil
}
