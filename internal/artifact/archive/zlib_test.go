package archive

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// zCorpus is text, code, noise and runs, of sizes about the limits of windows and blocks.
func zCorpus(t *testing.T) [][]byte {
	t.Helper()
	var code []byte
	for _, f := range []string{"zlib.go", "tar.go", "zip.go", "xz.go", "rpm.go", "cpio.go", "ztree.go"} {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		code = append(code, b...)
	}
	r := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, 100_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	few := make([]byte, 300_000)
	for i := range few {
		few[i] = "ACGT"[r.IntN(4)]
	}
	long := bytes.Repeat(code, 6)
	return [][]byte{nil, []byte("a"), []byte("abcabcabcabc"), code[:1000], code, long, noise, few,
		bytes.Repeat([]byte{0}, 200_000), append(bytes.Clone(noise[:40_000]), code...), append(bytes.Clone(code), noise...)}
}

// TestZlibWritesWhatZlibDoes compares with the zlib that Python has, and with GNU gzip.
func TestZlibWritesWhatZlibDoes(t *testing.T) {
	for _, need := range []string{"python3", "gzip"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Fatalf("%s is missing; install it: apt-get install %s", need, need)
		}
	}
	const script = `import sys,zlib
c=zlib.compressobj(int(sys.argv[1]),zlib.DEFLATED,-15)
sys.stdout.buffer.write(c.compress(sys.stdin.buffer.read())+c.flush())`
	for i, body := range zCorpus(t) {
		for level := 1; level <= 9; level++ {
			if i != 4 && level != 1 && level != 6 {
				continue // each level on code, two on all
			}
			for gnu, args := range map[bool][]string{false: {"python3", "-c", script, strconv.Itoa(level)}, true: {"gzip", "-nc", "-" + strconv.Itoa(level)}} {
				cmd := exec.Command(args[0], args[1:]...)
				cmd.Stdin = bytes.NewReader(body)
				want, err := cmd.Output()
				if err != nil {
					t.Fatal(err)
				}
				if gnu {
					want = want[10 : len(want)-8]
				}
				var got bytes.Buffer
				z := newZEncoder(&got, level, gnu)
				for rest := body; len(rest) > 0; {
					n := min(len(rest), 10_000)
					if _, err := z.Write(rest[:n]); err != nil {
						t.Fatal(err)
					}
					rest = rest[n:]
				}
				if err := z.Close(); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got.Bytes(), want) {
					at := 0
					for at < min(got.Len(), len(want)) && got.Bytes()[at] == want[at] {
						at++
					}
					t.Errorf("%s level %d, text %d of %d bytes: %d bytes, want %d, the first other at %d", args[0], level, i, len(body), got.Len(), len(want), at)
				}
			}
		}
	}
}
