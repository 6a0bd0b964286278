package tlog

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Fuzzers seldom get past the first line of a structured text. These laws
// compare the same readers on texts that are nearly right: a good one, with one
// to three tokens replaced, added or left out.

// mangle changes a text at a few places where tokens meet.
func mangle(t *rapid.T, text string, tokens []string) string {
	for range rapid.IntRange(0, 3).Draw(t, "changes") {
		i := rapid.IntRange(0, len(text)).Draw(t, "at")
		if rapid.Bool().Draw(t, "at a border") { // between fields or lines
			if j := strings.IndexAny(text[i:], " \n+"); j >= 0 {
				i += j + rapid.IntRange(0, 1).Draw(t, "behind")
			}
		}
		cut := rapid.SampledFrom([]int{0, 0, 0, 1, 1, 2, 45}).Draw(t, "cut")
		rest := text[i:]
		if cut < len(rest) {
			rest = rest[cut:]
		}
		text = text[:i] + rapid.SampledFrom(tokens).Draw(t, "token") + rest
	}
	return text
}

var anyTokens = []string{
	"", "", "\n", "\n\n", "\r", "\r\n", "\t", " ", "\x00", "\x7f", "\xff", "\u00a0", "\u2028", "#", "+", "-", "=", "/",
	"0", "00", "1", "+1", "-0", "9223372036854775807", "9223372036854775808", "4611686018427387904", "A", "B",
}

func TestCheckpointPeersLaw(t *testing.T) {
	good := sample + "extension\n\n" + sigA + "\u2014 witness/\u00e9 AAAAAgECAwQ=\n"
	tokens := append([]string{sigA, root0 + "\n", "x\n", "\u2014 "}, anyTokens...)
	rapid.Check(t, func(rt *rapid.T) {
		in := mangle(rt, good, tokens)
		compare(t, in, checkpointReadings, checkpointClasses)
		compare(t, in, noteReadings, noteClasses)
		stop(t, rt)
	})
}

func TestProofPeersLaw(t *testing.T) {
	good := proofHeader + "\nextra AQ==\nindex 1\n" + root0 + "\n" + sampleRoot + "\n\n" + sample + "\n" + sigA
	tokens := append([]string{"extra ", "extra AQ==\n", "extra AR==\n", "index 1\n", root0 + "\n", sigA, sample}, anyTokens...)
	rapid.Check(t, func(rt *rapid.T) {
		compare(t, mangle(rt, good, tokens), proofReadings, proofClasses)
		stop(t, rt)
	})
}

func TestVerifierPeersLaw(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		typ := rapid.SampledFrom([]KeyType{Ed25519, Ed25519Cosignature, MLDSA44Cosignature}).Draw(rt, "type")
		good := vkey(t, "a/\u00e9", typ)
		if rapid.Bool().Draw(rt, "any material") { // with the key ID that belongs to it
			good = rawVkey("a", byte(typ), rapid.SliceOfN(rapid.Byte(), 31, 33).Draw(rt, "key"))
		}
		compare(t, mangle(rt, good, anyTokens), keyReadings, keyClasses)
		stop(t, rt)
	})
}

func TestPolicyPeersLaw(t *testing.T) {
	tokens := append([]string{"none", "any", "all", "quorum", "log ", "witness ", "group ", "w0", "w1", "g0", "01", "2", "# x", "\n# x\n", " https://x/#y", " w0", " w1", "quorum none\n"}, anyTokens...)
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPolicy(t, rt)
		for i := range p.Witnesses {
			p.Witnesses[i].URL = "https://x.example/"
		}
		good := string(p.Marshal())
		if rapid.Bool().Draw(rt, "one key for all") && len(p.Witnesses) > 1 {
			good = strings.ReplaceAll(good, p.Witnesses[1].Key.String(), p.Witnesses[0].Key.String())
		}
		in := mangle(rt, good, tokens)
		compare(t, in, policyReadings, policyClasses)
		samePolicy(t, in)
		stop(t, rt)
	})
}

func TestTilePathPeersLaw(t *testing.T) {
	tokens := append([]string{"data", "entries", "x000/", "x001/", ".p/", "000", "256", "64"}, anyTokens...)
	rapid.Check(t, func(rt *rapid.T) {
		tile := Tile{
			Level: rapid.IntRange(EntriesLevel, 63).Draw(rt, "level"),
			Index: rapid.Int64Range(0, maxTileIndex>>rapid.IntRange(0, 53).Draw(rt, "shift")).Draw(rt, "index"),
			Width: rapid.IntRange(1, TileWidth).Draw(rt, "width"),
		}
		compare(t, mangle(rt, tile.Path(), tokens), tileReadings, tileClasses)
		stop(t, rt)
	})
}

// stop lets rapid shrink what compare has failed.
func stop(t *testing.T, rt *rapid.T) {
	if t.Failed() {
		rt.Fatal("a difference that no row covers, see above")
	}
}
