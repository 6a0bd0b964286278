package archive_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os/exec"
	"testing"

	"github.com/ulikunitz/xz"
	"pgregory.net/rapid"

	"vitrine.example/internal/artifact/archive"
)

func unxz(b []byte) ([]byte, error) {
	s, err := archive.OpenStream(context.Background(), archive.XZ, section(b), archive.Limits{})
	if err != nil {
		return nil, err
	}
	if err := s.Next(); err != nil {
		return nil, err
	}
	return io.ReadAll(s)
}

// material is text, noise and runs, so that every kind of chunk and match occurs.
func material(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 2))
	var b []byte
	for len(b) < n {
		switch r.IntN(4) {
		case 0:
			for range r.IntN(70_000) {
				b = append(b, byte(r.Uint32()))
			}
		case 1:
			b = append(b, bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(5000))...)
		case 2:
			if len(b) > 100 {
				at := r.IntN(len(b) - 50)
				b = append(b, b[at:min(len(b), at+r.IntN(3000))]...)
			}
		default:
			for range r.IntN(20_000) {
				b = append(b, "who may say what: keys "[r.IntN(23)])
			}
		}
	}
	return b[:n]
}

// TestXZOfThePeer decodes what xz itself writes, in all its ways, and a window
// that slides: dictionaries smaller than the content.
func TestXZOfThePeer(t *testing.T) {
	if _, err := exec.LookPath("xz"); err != nil {
		t.Fatal("xz is missing; install it: apt-get install xz-utils")
	}
	for i, args := range [][]string{
		{"-0"}, {"-6"}, {"-9e"}, {"--check=none"}, {"--check=crc32"}, {"--check=sha256"}, {"--block-size=100000"}, {"-T2"},
		{"--lzma2=dict=4KiB,lc=0,lp=2,pb=0"}, {"--lzma2=dict=64KiB,lc=4,lp=0,pb=4"}, {"--lzma2=dict=1MiB,lc=1,lp=3,pb=2,mode=fast"},
	} {
		for _, n := range []int{0, 1, 70_000, 1 << 20} {
			want := material(uint64(i), n)
			cmd := exec.Command("xz", append(args, "-c")...)
			cmd.Stdin = bytes.NewReader(want)
			packed, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			got, err := unxz(packed)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("xz %v of %d bytes: %d bytes, %v", args, n, len(got), err)
			}
		}
	}
}

// TestXZNeverGivesOtherBytes changes one byte anywhere: an error, or, where the
// byte says nothing, the very content.
func TestXZNeverGivesOtherBytes(t *testing.T) {
	want := material(5, 3000)
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(want); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		bad := bytes.Clone(b.Bytes())
		bad[rapid.IntRange(0, len(bad)-1).Draw(t, "at")] ^= byte(1 << rapid.IntRange(0, 7).Draw(t, "bit"))
		if got, err := unxz(bad); err == nil {
			t.Fatalf("it decodes to %d bytes", len(got))
		}
	})
}
