package centre

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/web"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// The ring is what lies in a node's keys/ beside the keys in use (docs/spec/node.md,
// "Keys that come and go"). Each state of a key is a file under a name that says
// so, so that nothing else has to be kept in agreement with it:
//
//	keys/KIND.next.TIME.pem             prepared: private, signs nothing yet
//	keys/KIND.old.TIME.pem              private; another took its place at TIME
//	keys/retired/KIND.TIME.pub          public; signed until TIME
//	keys/retired/KIND.TIME.stolen.pub   public; never to be trusted again
//
// A file is there whole or not at all. A key that is in use is nothing else, and
// an old one is not retired: so what an interrupted step has left does not count.
const (
	retiredDir = keysDir + "/retired"
	ringTemp   = ".rotation-"
	stampForm  = "20060102T150405Z"
	maxRing    = 256 // files
)

// KeyState says what becomes of a key.
type KeyState string

// The states of a key.
const (
	KeyInUse    KeyState = "in use"
	KeyPrepared KeyState = "prepared"
	KeyOld      KeyState = "old"     // still there; checkpoints are signed with it too
	KeyRetired  KeyState = "retired" // only its public part is left
	KeyStolen   KeyState = "stolen"  // retired, and not to be trusted
)

// keyKind is one of the keys that a node has.
type keyKind struct {
	name string // as commands and files have it
	list string // as node.json and the circle have it
	typ  tlog.KeyType
	path func(*Config) string // of the key in use; empty: none
}

const statementKind = "statement"

var keyKinds = []keyKind{
	{statementKind, statementKind, 0, func(c *Config) string { return c.StatementKey }},
	{"log", "log", tlog.Ed25519, func(c *Config) string { return c.LogKey }},
	{"log-mldsa", "log", tlog.MLDSA44Cosignature, func(c *Config) string { return c.LogMLDSAKey }},
	{"witness", "witness", tlog.Ed25519Cosignature, func(c *Config) string { return c.WitnessKey }},
	{"witness-mldsa", "witness", tlog.MLDSA44Cosignature, func(c *Config) string { return c.WitnessMLDSAKey }},
	{"mirror", "mirror", tlog.Ed25519Cosignature, func(c *Config) string { return c.MirrorKey }},
}

// KeyKinds are the names of the kinds of keys.
func KeyKinds() (out []string) {
	for _, k := range keyKinds {
		out = append(out, k.name)
	}
	return out
}

func kindNamed(name string) (keyKind, bool) {
	i := slices.IndexFunc(keyKinds, func(k keyKind) bool { return k.name == name })
	if i < 0 {
		return keyKind{}, false
	}
	return keyKinds[i], true
}

// signerName is the name of the kind's verifier keys.
func (k keyKind) signerName(origin string) string {
	switch k.list {
	case "witness":
		return witnessName(origin)
	case "mirror":
		return mirrorName(origin)
	}
	return origin
}

// text is how others write a key of the kind: PEM or vkey.
func (k keyKind) text(origin string, pub crypto.PublicKey) (string, error) {
	if k.list == statementKind {
		p, err := key.NewPublic(pub)
		if err != nil {
			return "", err
		}
		return string(p.PEM()), nil
	}
	v, err := tlog.NewVerifier(k.signerName(origin), k.typ, pub)
	if err != nil {
		return "", err
	}
	return v.String(), nil
}

// check refuses a text that is no key of the kind.
func (k keyKind) check(origin, text string) error {
	if k.list == statementKind {
		_, err := key.ParsePublic([]byte(text))
		return err
	}
	v, err := tlog.ParseVerifier(text)
	if err == nil && (v.Name() != k.signerName(origin) || v.Type() != k.typ) {
		err = fmt.Errorf("the key %s is not of the kind %s", v, k.name)
	}
	return err
}

// ringKey is a key that is not in use, by its public part.
type ringKey struct {
	kind  keyKind
	state KeyState
	at    time.Time // since when
	file  string    // relative to the node's directory
	text  string    // PEM or vkey
}

func (r ringKey) id() digest.Digest { return statement.MemberKey{Key: r.text}.ID() }

// verifier is that of a key that signs checkpoints.
func (r ringKey) verifier() (tlog.Verifier, error) { return tlog.ParseVerifier(r.text) }

// ring holds them by kind, then by time.
type ring []ringKey

// of returns those of a kind in some states.
func (r ring) of(kind string, states ...KeyState) (out ring) {
	for _, k := range r {
		if k.kind.name == kind && slices.Contains(states, k.state) {
			out = append(out, k)
		}
	}
	return out
}

// texts are the keys of a list of node.json in some states.
func (r ring) texts(list string, states ...KeyState) (out []string) {
	for _, k := range r {
		if k.kind.list == list && slices.Contains(states, k.state) {
			out = append(out, k.text)
		}
	}
	return out
}

// readRing reads what lies beside the keys in use, whose texts are given by kind.
func readRing(dir string, c *Config, used map[string]string) (ring, error) {
	var out ring
	for _, from := range []string{keysDir, retiredDir} {
		names, err := ringNames(filepath.Join(dir, from))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			k, ok := parseRingName(from, name)
			if !ok {
				continue
			}
			if err := k.read(dir, c.origin); err != nil {
				return nil, err
			}
			out = append(out, k)
		}
	}
	out = slices.DeleteFunc(out, func(k ringKey) bool { return k.text == used[k.kind.name] })
	out = slices.DeleteFunc(out, func(k ringKey) bool {
		return k.state != KeyOld && slices.ContainsFunc(out, func(o ringKey) bool { return o.state == KeyOld && o.text == k.text })
	})
	slices.SortStableFunc(out, func(a, b ringKey) int {
		return 2*strings.Compare(a.kind.name, b.kind.name) + a.at.Compare(b.at)
	})
	return out, nil
}

// ringNames lists a directory that may be missing.
func ringNames(dir string) (out []string, err error) {
	all, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	for _, e := range all {
		if e.Type().IsRegular() {
			out = append(out, e.Name())
		}
	}
	if len(out) > maxRing {
		return nil, fmt.Errorf("%s has %d files, at most %d can be keys: move what is not needed away", dir, len(out), maxRing)
	}
	return out, nil
}

// parseRingName reads the name of a file in keys/ or keys/retired/.
func parseRingName(dir, name string) (k ringKey, ok bool) {
	parts := strings.Split(name, ".")
	kind, known := kindNamed(parts[0])
	if !known {
		return k, false
	}
	k.kind, k.file = kind, dir+"/"+name
	stamp := ""
	switch {
	case dir == keysDir && len(parts) == 4 && parts[3] == "pem" && parts[1] == "next":
		k.state, stamp = KeyPrepared, parts[2]
	case dir == keysDir && len(parts) == 4 && parts[3] == "pem" && parts[1] == "old":
		k.state, stamp = KeyOld, parts[2]
	case dir == retiredDir && len(parts) == 3 && parts[2] == "pub":
		k.state, stamp = KeyRetired, parts[1]
	case dir == retiredDir && len(parts) == 4 && parts[3] == "pub" && parts[2] == "stolen":
		k.state, stamp = KeyStolen, parts[1]
	default:
		return k, false
	}
	at, err := time.Parse(stampForm, stamp)
	k.at = at
	return k, err == nil && at.Format(stampForm) == stamp
}

// ringName is the name that parseRingName reads.
func ringName(kind string, state KeyState, at time.Time) string {
	stamp := at.UTC().Format(stampForm)
	switch state {
	case KeyPrepared:
		return keysDir + "/" + kind + ".next." + stamp + ".pem"
	case KeyOld:
		return keysDir + "/" + kind + ".old." + stamp + ".pem"
	case KeyStolen:
		return retiredDir + "/" + kind + "." + stamp + ".stolen.pub"
	}
	return retiredDir + "/" + kind + "." + stamp + ".pub"
}

// read takes the key from its file.
func (k *ringKey) read(dir, origin string) error {
	path := filepath.Join(dir, k.file)
	if k.state == KeyPrepared || k.state == KeyOld {
		s, err := key.ReadPrivateFile(path)
		if err == nil {
			k.text, err = k.kind.text(origin, s.Public())
		}
		if err != nil {
			return fmt.Errorf("%s key (%s): %w", k.kind.name, k.state, err)
		}
		return nil
	}
	raw, err := readSmall(path)
	if err != nil {
		return err
	}
	if k.text = string(raw); k.kind.list != statementKind {
		k.text = strings.TrimSuffix(k.text, "\n")
	}
	if err := k.kind.check(origin, k.text); err != nil {
		return fmt.Errorf("retired key %s: %w", path, err)
	}
	return nil
}

// retired lists them as node.json does.
func (r ring) retired() []web.Retired {
	out := []web.Retired{}
	for _, k := range r {
		if k.state == KeyRetired {
			out = append(out, web.Retired{Kind: k.kind.list, Key: k.text, Until: k.at})
		}
	}
	return out
}
