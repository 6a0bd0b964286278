package tlog

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// Each target holds one reader to its law, that what it accepts is written
// again byte for byte, and compares it with its peers. All rows of the table of
// differences are seeds.

func seedRows(f *testing.F, section section) {
	for _, d := range section.rows {
		if in := d.input(new(testing.T)); len(in) < 10_000 {
			f.Add(in)
		}
	}
}

func FuzzNote(f *testing.F) {
	f.Add(exampleNote)
	f.Add("\n\n\n" + sigA + sigA)
	seedRows(f, noteSection)
	f.Fuzz(func(t *testing.T, in string) {
		if n, err := ParseNote([]byte(in)); err == nil && string(n.Marshal()) != in {
			t.Errorf("%q is written as %q", in, n.Marshal())
		}
		compare(t, in, noteReadings, noteClasses)
	})
}

func FuzzSignature(f *testing.F) {
	f.Add(sigA)
	f.Add(sigA + sigA)
	f.Add("\u2014 a\u00a0 AAAAAQI=\n")
	f.Fuzz(func(t *testing.T, in string) {
		sigs, err := ParseSignatures([]byte(in))
		if err == nil {
			var b []byte
			for _, s := range sigs {
				b = append(b, s.Marshal()...)
			}
			if string(b) != in {
				t.Errorf("%q is written as %q", in, b)
			}
		}
		compare(t, "text\n\n"+in, noteReadings, noteClasses)
	})
}

func FuzzCheckpoint(f *testing.F) {
	f.Add(sample + "\n" + sigA)
	f.Add(sample + "extension\n\n" + sigA + sigA)
	f.Add("a\n0\n" + root0 + "\n\n" + sigA)
	seedRows(f, checkpointSection)
	f.Fuzz(func(t *testing.T, in string) {
		if c, err := ParseCheckpoint([]byte(in)); err == nil {
			if string(c.Marshal()) != in {
				t.Errorf("%q is written as %q", in, c.Marshal())
			}
			if err := c.Validate(); err != nil {
				t.Errorf("%q: %v", in, err)
			}
		}
		compare(t, in, checkpointReadings, checkpointClasses)
	})
}

func FuzzVerifier(f *testing.F) {
	f.Add(exampleKey)
	seedRows(f, keySection)
	f.Fuzz(func(t *testing.T, in string) {
		if v, err := ParseVerifier(in); err == nil && v.String() != in {
			t.Errorf("%q is written as %q", in, v)
		}
		compare(t, in, keyReadings, keyClasses)
	})
}

func FuzzProof(f *testing.F) {
	seedRows(f, proofSection)
	m := newTree(f, 100)
	for _, i := range []int64{0, 64, 99} {
		f.Add(string(m.proof(f, m.signed(f, "log", 100, newSigner(f, "log", 1)), i).Marshal()))
	}
	f.Fuzz(func(t *testing.T, in string) {
		if p, err := ParseProof([]byte(in)); err == nil {
			if string(p.Marshal()) != in {
				t.Errorf("%q is written as %q", in, p.Marshal())
			}
			for _, leaf := range []Hash{{}, LeafHash(entry(1))} {
				_ = p.VerifyInclusion(leaf) // whatever the sizes, it returns
			}
		}
		compare(t, in, proofReadings, proofClasses)
	})
}

func FuzzPolicy(f *testing.F) {
	seedRows(f, policySection)
	f.Add(expand(f, strings.ReplaceAll(twoLevels, "x3:6", "x3:4"))) // short inputs make the fuzzer fast
	f.Fuzz(func(t *testing.T, in string) {
		if p, err := ParsePolicy([]byte(in)); err == nil {
			if err := p.Validate(); err != nil {
				t.Errorf("%q is read and not valid: %v", in, err)
			}
			normal := p.Marshal()
			q, err := ParsePolicy(normal)
			if err != nil || !reflect.DeepEqual(p, q) || !bytes.Equal(q.Marshal(), normal) {
				t.Errorf("%q: normal form %q reads as another: %v", in, normal, err)
			}
			samePolicy(t, in)
		}
		compare(t, in, policyReadings, policyClasses)
	})
}

func FuzzTilePath(f *testing.F) {
	seedRows(f, tileSection)
	f.Add("tile/63/x999/999.p/255")
	f.Fuzz(func(t *testing.T, in string) {
		if tile, err := ParseTilePath(in); err == nil && tile.Path() != in {
			t.Errorf("%q is written as %q", in, tile.Path())
		}
		compare(t, in, tileReadings, tileClasses)
	})
}

// FuzzConsistency: whatever the sizes and hashes, VerifyConsistency returns.
func FuzzConsistency(f *testing.F) {
	f.Add(int64(1), int64(2), []byte("root"))
	f.Add(int64(MaxSize-1), int64(MaxSize), bytes.Repeat([]byte("0123456789abcdef"), 130))
	f.Fuzz(func(t *testing.T, o, n int64, b []byte) {
		path := make([]Hash, len(b)/32)
		for i := range path {
			path[i] = Hash(b[32*i:])
		}
		if VerifyConsistency(o, n, LeafHash(b), EmptyRoot(), path) == nil && o != 0 {
			t.Errorf("sizes %d and %d, %x: accepted", o, n, b)
		}
	})
}
