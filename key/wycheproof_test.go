package key_test

import (
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"vitrine.example/key"
)

type wycheproof struct {
	NumberOfTests int
	TestGroups    []struct {
		PublicKeyDer string
		PublicKeyPem string
		Tests        []struct {
			TcID              int
			Comment, Msg, Sig string
			Result            string
		}
	}
}

func readWycheproof(t *testing.T, path string) wycheproof {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var w wycheproof
	if err := json.NewDecoder(z).Decode(&w); err != nil {
		t.Fatal(err)
	}
	return w
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Everything that Project Wycheproof calls invalid is refused. What it calls
// valid is accepted, but for signatures with the higher s.
func TestWycheproof(t *testing.T) {
	for file, want := range map[string]struct{ valid, highS, invalid int }{
		"ecdsa_secp256r1_sha256_test": {valid: 103, highS: 71, invalid: 310},
		"ed25519_test":                {valid: 88, invalid: 63},
	} {
		w := readWycheproof(t, "testdata/wycheproof/"+file+".json.gz")
		have, tests := want, 0
		have.valid, have.highS, have.invalid = 0, 0, 0
		for _, g := range w.TestGroups {
			pub, err := key.ParsePublicDER(unhex(t, g.PublicKeyDer))
			if err != nil {
				t.Fatalf("%s: key %s: %v", file, g.PublicKeyDer, err)
			}
			// The files have line feeds between the lines only.
			if p, err := key.ParsePublic([]byte(g.PublicKeyPem)); err != nil || p != pub {
				t.Errorf("%s: key %s: %v", file, g.PublicKeyPem, err)
			}
			for _, c := range g.Tests {
				tests++
				sig := unhex(t, c.Sig)
				err := pub.Verify(unhex(t, c.Msg), sig)
				switch {
				case err != nil && c.Result == "invalid":
					have.invalid++
				case err == nil && c.Result == "valid":
					have.valid++
				case err != nil && c.Result == "valid" && pub.CheckSignature(sig) != nil:
					have.highS++
					wantError(t, err, "the higher of the two s values")
				default:
					t.Errorf("%s %d (%s): %s, and we say %v", file, c.TcID, c.Comment, c.Result, err)
				}
			}
		}
		if tests != w.NumberOfTests || have != want {
			t.Errorf("%s: %d of %d tests: %+v, want %+v", file, tests, w.NumberOfTests, have, want)
		}
	}
}
