package key_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"vitrine.example/key"
)

func addFiles(f *testing.F, pattern string) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) == 0 {
		f.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	for _, file := range files {
		rel, err := filepath.Rel("testdata", file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(read(f, rel))
	}
}

// What is accepted is written back byte for byte.
func FuzzParsePublic(f *testing.F) {
	addFiles(f, "*/*.pub.pem")
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := key.ParsePublic(text)
		if err != nil {
			if !p.IsZero() {
				t.Error("a key with an error")
			}
			return
		}
		if !bytes.Equal(p.PEM(), text) {
			t.Errorf("written again:\n%s", p.PEM())
		}
		if q, err := key.NewPublic(p.Crypto()); err != nil || q != p {
			t.Errorf("another key by way of the standard library: %v", err)
		}
		if p.Verify(text, nil) == nil {
			t.Error("no signature verifies")
		}
	})
}

func FuzzParsePrivate(f *testing.F) {
	addFiles(f, "*/*.key.pem")
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := key.ParsePrivate(text)
		if err != nil {
			return
		}
		again, err := key.MarshalPrivate(s)
		if err != nil || !bytes.Equal(again, text) {
			t.Errorf("%v: written again:\n%s", err, again)
		}
	})
}

// A signature that verifies keeps its one form: no other bytes near it verify.
func FuzzVerify(f *testing.F) {
	pub, err := key.ParsePublic(read(f, "openssl", "p256.pub.pem"))
	if err != nil {
		f.Fatal(err)
	}
	message, good := read(f, "openssl", "message"), read(f, "openssl", "p256.low.sig")
	f.Add(good)
	f.Add(read(f, "openssl", "p256.high.sig"))
	f.Add([]byte{0x30, 6, 2, 1, 1, 2, 1, 1})
	f.Fuzz(func(t *testing.T, sig []byte) {
		if pub.Verify(message, sig) == nil && !bytes.Equal(sig, good) {
			t.Errorf("a second signature verifies: %x", sig)
		}
	})
}
