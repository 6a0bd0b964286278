package tlog

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// A class ties what vitrine refuses and another accepts to a row of the table
// of differences: the row of this id covers refusals whose reason contains the
// text.
type class struct{ reason, id string }

var noteClasses = []class{
	{"signature: not canonical base64", "note-base64"},
	{"more than 64 signatures", "note-signatures"},
	{"bytes, want at most 524288", "note-size"},
}

var checkpointClasses = slices.Concat(noteClasses, []class{
	{"empty origin", "checkpoint-origin"},
	{"tree size: ", "checkpoint-zeros"},
	{"is above 2^62", "checkpoint-size"},
	{"is above 2^63-1", "checkpoint-63"},
	{"root hash: not canonical base64", "checkpoint-base64"},
	{"want the 32 of a SHA-256", "checkpoint-root"},
	{"empty extension line", "checkpoint-empty-line"},
	{"more than 64 extension lines", "checkpoint-extensions"},
})

var keyClasses = []class{
	{"does not belong to the key", "key-hex"},
	{"does not belong to the key", "key-id"},
	{"not canonical base64", "key-base64"},
	{"not canonical base64", "key-newline"},
	{"must not stand in a key name", "key-control"},
	{"bytes, want at most", "key-name"},
	{"small order", "key-small"},
	{"not the canonical encoding", "key-canonical"},
	{"not a point", "key-curve"},
	{"is not read", "key-type"},
}

var proofClasses = slices.Concat(checkpointClasses, []class{
	{"want \"c2sp.org/tlog-proof@v1\"", "proof-header-cr"},
	{"index: ", "proof-plus"},
	{"index: ", "proof-zeros"},
	{"index: ", "proof-index"},
	{"is not a digit", "proof-header-cr"},
	{" hash: not canonical base64", "proof-base64"},
	{" hash: not canonical base64", "proof-cr"},
	{"more than 63 hashes", "proof-path"},
	{"control character 0x0d", "proof-checkpoint-cr"},
	{"does not end in a newline", "proof-end"},
	{"extra line without data", "proof-extra-empty"},
	{"extra: not canonical base64", "proof-extra-base64"},
	{"extra: ", "proof-extra-longer"},
	{"bytes, want at most 1048576", "proof-extra-longer"},
})

var policyClasses = slices.Concat(keyClasses, []class{
	{"the same public key as witness", "policy-key"},
	{"the same public key as log", "policy-log-key"},
	{"the same public key as", "policy-own-key"},
	{"the same key name and key ID", "policy-collision"},
	{"is one already", "policy-member"},
	{"is not defined before", "policy-forward"},
	{"is not defined before", "policy-separator"},
	{"is not defined before", "policy-comment"},
	{"is not defined before", "policy-nobody"},
	{"a second quorum line", "policy-quorums"},
	{"threshold: ", "policy-plus"},
	{"threshold: ", "policy-zeros"},
	{"threshold 0", "policy-nothing"},
	{"want: group", "policy-nobody"},
	{"want: group", "policy-separator"},
	{"fields, want: ", "policy-fields"},
	{"fields, want: ", "policy-separator"},
	{"fields, want: ", "policy-comment"},
	{"is neither", "policy-separator"},
	{"is neither", "policy-comment"},
	{"control character", "policy-control"},
	{"does not end in a newline", "policy-end"},
	{"the name \"none\" is taken", "policy-none"},
	{"a witness has", "policy-witness-type"},
	{": log: ", "policy-log"},
	{"is not an URL", "policy-url"},
	{"is not an URL", "policy-comment"},
	{"more than 128", "policy-limit"},
	{"bytes, want at most 524288", "policy-size"},
})

var tileClasses = []class{
	{"is not a digit", "tile-data"},
	{"is above 63", "tile-level"},
	{"2^62 entries", "tile-index"},
	{"more than 6 elements", "tile-index"},
}

// A peerClass ties what vitrine accepts and another refuses to a row.
type peerClass struct {
	peer, id string
	covers   func(in string) bool
}

var peerClasses = []peerClass{
	{"x/mod", "key-t-only", func(in string) bool { return keyType(in) != Ed25519 }},
	{"torchwood", "key-x-only", func(in string) bool { return keyType(in) == Ed25519 }},
	{"formats", "proof-extra-long", longLine},
	{"formats", "policy-line", longLine},
	{"torchwood", "policy-log-ml", func(in string) bool {
		p, err := ParsePolicy([]byte(in))
		return err == nil && slices.ContainsFunc(p.Logs, func(l PolicyLog) bool { return l.Key.Type() != Ed25519 })
	}},
	{"torchwood", "policy-hash", hashInLine},
	{"formats", "policy-hash", hashInLine},
	{"torchwood", "policy-name-space", spaceInField},
	{"formats", "policy-name-space", spaceInField},
	{"formats", "policy-no-url", anyWitness(func(w PolicyWitness) bool { return w.URL == "" })},
	{"formats", "policy-url-parse", anyWitness(func(w PolicyWitness) bool { _, err := url.Parse(w.URL); return err != nil })},
	{"formats", "policy-keyword", func(in string) bool {
		p, err := ParsePolicy([]byte(in))
		if err != nil {
			return false
		}
		var names []string
		for _, w := range p.Witnesses {
			names = append(names, w.Name)
		}
		for _, g := range p.Groups {
			names = append(names, g.Name)
		}
		return slices.ContainsFunc(names, func(n string) bool {
			return slices.Contains([]string{"witness", "group", "any", "all", "quorum", "log"}, n)
		})
	}},
}

func keyType(in string) KeyType {
	v, err := ParseVerifier(in)
	if err != nil {
		return 0
	}
	return v.Type()
}

func longLine(in string) bool {
	return slices.ContainsFunc(strings.Split(in, "\n"), func(l string) bool { return len(l) >= 64<<10-1 })
}

func hashInLine(in string) bool {
	return slices.ContainsFunc(strings.Split(in, "\n"), func(l string) bool {
		l = strings.TrimLeft(l, " \t")
		return strings.Contains(l, "#") && l[0] != '#'
	})
}

func spaceInField(in string) bool {
	return slices.ContainsFunc(strings.Split(in, "\n"), func(l string) bool {
		return !slices.Equal(strings.Fields(l), strings.FieldsFunc(l, func(c rune) bool { return c == ' ' || c == '\t' }))
	})
}

func anyWitness(is func(PolicyWitness) bool) func(string) bool {
	return func(in string) bool {
		p, err := ParsePolicy([]byte(in))
		return err == nil && slices.ContainsFunc(p.Witnesses, is)
	}
}

// compare runs all readings on an input and fails where two differ in a way
// that no row of the table of differences covers.
func compare(t *testing.T, in string, readings map[string]reading, classes []class) {
	t.Helper()
	ours, err := readings["vitrine"](in)
	for peer, read := range readings {
		if peer == "vitrine" {
			continue
		}
		theirs, theirErr := read(in)
		switch {
		case err == nil && theirErr == nil && ours != theirs:
			t.Errorf("%q\nvitrine reads %s\n%s reads %s", in, ours, peer, theirs)
		case err == nil && theirErr != nil:
			if !slices.ContainsFunc(peerClasses, func(c peerClass) bool { return c.peer == peer && c.covers(in) }) {
				t.Errorf("%q\nis refused by %s alone: %v", in, peer, theirErr)
			}
		case err != nil && theirErr == nil:
			if !slices.ContainsFunc(classes, func(c class) bool {
				return strings.Contains(err.Error(), c.reason) && rowCovers(c.id, peer)
			}) {
				t.Errorf("%q\nis accepted by %s: %s\nrefused by vitrine: %v", in, peer, theirs, err)
			}
		}
	}
}

// rowCovers reports whether the row says that the peer accepts. Torchwood and
// formats open notes with x/mod, and so accept what it does; torchwood and
// x/mod differ in the types of keys that they read and not in how; and what
// nobody accepts as a whole may still be read.
func rowCovers(id, peer string) bool {
	for _, s := range sections() {
		for _, d := range s.rows {
			if d.id != id {
				continue
			}
			return len(d.accepted) == 0 || slices.Contains(d.accepted, peer) ||
				slices.Contains(d.accepted, "x/mod") ||
				peer == "x/mod" && slices.Contains(d.accepted, "torchwood")
		}
	}
	return false
}
