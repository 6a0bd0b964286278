package tlog

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestProofOfEveryEntry(t *testing.T) {
	log := newSigner(t, "log.example", Ed25519)
	w := newSigner(t, "witness.example/w1", Ed25519Cosignature)
	q := newSigner(t, "witness.example/q1", MLDSA44Cosignature)
	m := newTree(t, 20)
	for size := int64(1); size <= 20; size++ {
		c := m.signed(t, "log.example", size, log, w, q)
		for i := range size {
			text := m.proof(t, c, i).Marshal()
			p, err := ParseProof(text)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(p.Marshal(), text) {
				t.Fatalf("size %d, entry %d: Marshal gives back another text", size, i)
			}
			if err := p.VerifyInclusion(LeafHash(entry(i))); err != nil {
				t.Error(err)
			}
			if err := p.VerifyInclusion(LeafHash(entry(i + 1))); err == nil {
				t.Errorf("size %d, entry %d: another entry is accepted", size, i)
			}
			if i > 0 {
				continue
			}
			for _, s := range []*Signer{log, w, q} {
				at, err := s.Verifier().Verify(p.Checkpoint)
				if err != nil {
					t.Fatal(err)
				}
				if plain := s.v.typ == Ed25519; plain != at.IsZero() || !plain && !at.Equal(epoch) {
					t.Errorf("%s: time %v", s.Name(), at)
				}
			}
		}
	}
}

// No single-bit flip of a proof is accepted where the policy asks for all that
// have signed it: 56 proofs from trees of 1 to 300 entries, all bits of each.
//
// Check reads nothing but the checkpoint, so its answer to a checkpoint that
// several proofs share, or that several flips leave whole, is asked for once.
//
// The race detector makes this slow and has nothing to find in it: with it, one
// bit of each byte is flipped.
func TestBitFlips(t *testing.T) {
	for _, f := range []struct {
		signers []string // tag of each signature line, in order
		sizes   []int64
		stride  int64 // between the entries whose proofs are tried
		proofs  int
	}{
		{[]string{"log:1", "w1:4"}, []int64{1, 2, 3}, 1, 6},
		{[]string{"w2:4", "log:1", "w1:4"}, []int64{5, 64}, 4, 18},
		{[]string{"log:1"}, []int64{300}, 10, 30},
		{[]string{"log:6"}, []int64{100}, 60, 2},
	} {
		t.Run(strings.Join(f.signers, " "), func(t *testing.T) {
			t.Parallel()
			if n := flipProofs(t, f.signers, f.sizes, f.stride); n != f.proofs {
				t.Errorf("%d proofs, want %d", n, f.proofs)
			}
		})
	}
}

func flipProofs(t *testing.T, tags []string, sizes []int64, stride int64) (proofs int) {
	var signers []*Signer
	policy, members := "", ""
	for _, tag := range tags {
		name, typ := splitTag(t, tag)
		signers = append(signers, newSigner(t, name, typ))
		if name == "log" {
			policy += "log <" + tag + ">\n"
		} else {
			policy += "witness " + name + " <" + tag + ">\n"
			members += " " + name
		}
	}
	quorum := "quorum none\n"
	if members != "" {
		quorum = "group all all" + members + "\nquorum all\n"
	}
	p := mustPolicy(t, policy+quorum)
	refused := map[string]bool{} // checkpoints
	check := func(c *SignedCheckpoint) bool {
		text := string(c.Marshal())
		if !refused[text] {
			_, err := p.Check(c)
			refused[text] = err != nil
		}
		return !refused[text]
	}
	for _, size := range sizes {
		m := newTree(t, size)
		c := m.signed(t, "log", size, signers...)
		for i := int64(0); i < size; i += stride {
			flipProof(t, m.proof(t, c, i).Marshal(), LeafHash(entry(i)), check)
			proofs++
		}
	}
	return proofs
}

func flipProof(t *testing.T, text []byte, leaf Hash, check func(*SignedCheckpoint) bool) {
	t.Helper()
	accepted := func() bool {
		p, err := ParseProof(text)
		return err == nil && p.VerifyInclusion(leaf) == nil && check(p.Checkpoint)
	}
	if !accepted() {
		t.Fatalf("not accepted as it is:\n%s", text)
	}
	for i := range text {
		for bit := range 8 {
			if raceDetector && bit != i%8 {
				continue
			}
			text[i] ^= 1 << bit
			if accepted() {
				t.Errorf("accepted with bit %d of byte %d flipped:\n%s", bit, i, text)
			}
			text[i] ^= 1 << bit
		}
	}
}

// Extra data is no part of what is proved: the one place where a flip can pass.
func TestExtraIsNotAuthenticated(t *testing.T) {
	log := newSigner(t, "log", Ed25519)
	m := newTree(t, 3)
	p := m.proof(t, m.signed(t, "log", 3, log), 1)
	p.Extra = []byte("extra")
	q, err := ParseProof(bytes.Replace(p.Marshal(), []byte("extra ZX"), []byte("extra YX"), 1))
	if err != nil || q.VerifyInclusion(LeafHash(entry(1))) != nil || string(q.Extra) != "axtra" {
		t.Fatalf("%+v, %v", q, err)
	}
}

func TestProofRefused(t *testing.T) {
	const head, tail = "c2sp.org/tlog-proof@v1\n", "\n\na\n3\n" + root0 + "\n\n" + sigA
	for _, c := range []struct{ text, reason string }{
		{"", "line 1: the text ends here, want the header"},
		{"c2sp.org/tlog-proof@v1", "line 1: the line does not end in a newline"},
		{"c2sp.org/tlog-proof@v2\nindex 0" + tail, "line 1: \"c2sp.org/tlog-proof@v2\", want"},
		{"c2sp.org/tlog-proof@v1\r\nindex 0" + tail, "line 1"},
		{"\n" + head + "index 0" + tail, "line 1"},
		{"\ufeff" + head + "index 0" + tail, "line 1"},
		{head, "line 2: the text ends here, want the index"},
		{head + "index" + tail, "line 2: \"index\", want a line"},
		{head + "index " + tail, "line 2: index: no digits"},
		{head + "index  0" + tail, "not a digit"},
		{head + "index +19" + tail, "not a digit"},
		{head + "index -0" + tail, "not a digit"},
		{head + "index 0019" + tail, "line 2: index: \"0019\" has a leading zero"},
		{head + "index 00" + tail, "leading zero"},
		{head + "index 0 " + tail, "not a digit"},
		{head + "index 0\r" + tail, "not a digit"},
		{head + "index 1_0" + tail, "not a digit"},
		{head + "index 9223372036854775808" + tail, "above 2^63-1"},
		{head + "Index 0" + tail, "line 2"},
		{head + "extra AQ==\n", "line 3: the text ends here, want the index"},
		{head + "extra AQ==\nextra AQ==\nindex 0" + tail, "line 3"},
		{head + "index 0\nextra AQ==" + tail, "line 3: hash: not canonical"},
		{head + "extra \nindex 0" + tail, "line 2: extra line without data"},
		{head + "extra\nindex 0" + tail, "line 2: \"extra\", want a line that begins with \"index \""},
		{head + "extra AR==\nindex 0" + tail, "line 2: extra: not canonical"},
		{head + "extra AQ\nindex 0" + tail, "line 2: extra: not canonical"},
		{head + "extra AQ==\r\nindex 0" + tail, "line 2: extra: not canonical"},
		{head + "extra _w==\nindex 0" + tail, "line 2: extra: not canonical"},
		{head + "extra " + strings.Repeat("AAAA", MaxExtra/3+1) + "\nindex 0" + tail, "want at most 65536"},
		{head + "index 0", "line 2: the line does not end"},
		{head + "index 0\n", "line 3: the text ends here, want a hash or an empty line"},
		{head + "index 0\n" + root0, "line 3: the line does not end"},
		{head + "index 0\n" + root0 + "\r" + tail, "line 3: hash: not canonical"},
		{head + "index 0\n" + root0[:20] + "\r" + root0[20:] + tail, "line 3: hash: not canonical"},
		{head + "index 0\n" + strings.Replace(root0, "U=", "V=", 1) + tail, "line 3: hash: not canonical"},
		{head + "index 0\n" + " " + root0 + tail, "line 3: hash: not canonical"},
		{head + "index 0\nAAAA" + tail, "line 3: hash: 3 bytes"},
		{head + "index 0\n" + strings.Repeat(root0+"\n", 64) + tail, "line 66: more than 63 hashes"},
		{head + "index 0\n\n", "proof: no empty line between text and signatures"},
		{head + "index 0\n\n" + tail, "proof line 4: empty origin"},
		{head + "index 0" + strings.Replace(tail, "3", "03", 1), "proof line 5: tree size: \"03\" has a leading zero"},
		{head + "index 0" + tail + "\n", "proof line 10: the text ends here"},
		{head + "index 0" + strings.Replace(tail, "AAAAAQI", "AAAAAQJ", 1), "proof line 8: signature: not canonical"},
		{strings.Repeat("a", MaxProof+1), "want at most"},
	} {
		p, err := ParseProof([]byte(c.text))
		var s *SyntaxError
		if !errors.As(err, &s) || !strings.Contains(err.Error(), c.reason) || !strings.HasPrefix(err.Error(), "proof") || p != nil {
			t.Errorf("%.200q: %v, want an error with %q", c.text, err, c.reason)
		}
	}
}

func TestProofLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &Proof{Index: rapid.Int64Range(0, math.MaxInt64).Draw(t, "index"), Checkpoint: drawCheckpoint(t)}
		if rapid.Bool().Draw(t, "extra") {
			want.Extra = rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "extra data")
		}
		for range rapid.IntRange(0, MaxPath).Draw(t, "path") {
			want.Path = append(want.Path, Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash")))
		}
		got, err := ParseProof(want.Marshal())
		if err != nil || !reflect.DeepEqual(got, want) || !bytes.Equal(got.Marshal(), want.Marshal()) {
			t.Fatalf("%s: %v", want.Marshal(), err)
		}
	})
}
