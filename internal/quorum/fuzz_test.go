package quorum_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"

	"vitrine.example/internal/quorum"
	"vitrine.example/tlog"
)

// answers is a witness that says the same to everything.
type answers struct {
	status int
	typ    string
	body   []byte
	asked  int
}

// RoundTrip implements [http.RoundTripper].
func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.asked++
	return &http.Response{StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {a.typ}}, Body: io.NopCloser(bytes.NewReader(a.body))}, nil
}

func signature(t testing.TB, s *tlog.Signer, c tlog.Checkpoint) tlog.Signature {
	t.Helper()
	out, err := s.SignCheckpoint(c)
	check(t, err)
	return out
}

// FuzzAnswer: whatever a witness answers, what comes of it are cosignatures of its
// key under the checkpoint that was asked for, or an error; it is asked three times
// at most, and no proof is made from a size that the log does not have.
func FuzzAnswer(f *testing.F) {
	root := tlog.LeafHash([]byte("entry"))
	log, key := logKey(f), cosignKey(f, "w.example", tlog.Ed25519Cosignature)
	c := &tlog.SignedCheckpoint{Checkpoint: tlog.Checkpoint{Origin: origin, Size: 1, Root: root}}
	c.Signatures = []tlog.Signature{signature(f, log, c.Checkpoint)}
	signed := &tlog.SignedCheckpoint{Checkpoint: c.Checkpoint}
	signed.Signatures = []tlog.Signature{signature(f, key, c.Checkpoint)}
	good := signed.Marshal()[len(signed.Text())+1:]
	f.Add(http.StatusOK, "text/plain", good)
	f.Add(http.StatusOK, "", append(bytes.Clone(good), good...))
	f.Add(http.StatusOK, "", c.Marshal()[len(c.Text())+1:])
	for _, body := range []string{"0\n", "1\n", "2\n", "01\n", "1", "-1\n", "9223372036854775807\n", "9223372036854775808\n"} {
		f.Add(http.StatusConflict, tlog.SizeType, []byte(body))
	}
	f.Add(http.StatusMovedPermanently, "text/html", []byte("\x1b[2J"))
	w := tlog.PolicyWitness{Name: "w", Key: key.Verifier()}
	_, _, err := quorum.Ask(f.Context(), &answers{status: http.StatusOK, body: good}, w, quorum.Options{}, c, func(int64) ([]tlog.Hash, error) { return nil, nil })
	check(f, err)
	f.Fuzz(func(t *testing.T, status int, typ string, body []byte) {
		a := &answers{status: status, typ: typ, body: body}
		prove := func(from int64) ([]tlog.Hash, error) {
			if from < 0 || from > c.Size {
				t.Errorf("a proof from %d entries is asked for", from)
			}
			return nil, nil
		}
		sigs, s, err := quorum.Ask(t.Context(), a, w, quorum.Options{}, c, prove)
		if a.asked > 3 || s.Size < 0 || s.Size > c.Size {
			t.Errorf("asked %d times; the size is taken for %d", a.asked, s.Size)
		}
		if (err == nil) != (len(sigs) > 0) {
			t.Fatalf("%d cosignatures, error %v", len(sigs), err)
		}
		if err != nil {
			return
		}
		if status != http.StatusOK {
			t.Errorf("status %d is taken for a cosignature", status)
		}
		at, err := key.Verifier().Verify(&tlog.SignedCheckpoint{Checkpoint: c.Checkpoint, Signatures: sigs})
		if err != nil || at.IsZero() {
			t.Errorf("a cosignature that does not verify: %v", err)
		}
	})
}

// FuzzPolicy: a policy that is taken asks each witness at an http address, and its
// quorum is not met by the log alone where it names witnesses.
func FuzzPolicy(f *testing.F) {
	log := logKey(f).Verifier()
	w := cosignKey(f, "w.example", tlog.Ed25519Cosignature).Verifier().String()
	for _, at := range []string{"", " https://w.example", " http://w.example/a/", " https://u:p@w.example/", " ftp://w.example", " https://w.example/?a", " https:///x"} {
		f.Add("witness w " + w + at + "\nquorum w\n")
	}
	f.Add("log " + log.String() + "\nquorum none\n")
	f.Add("witness w " + w + " https://w.example\ngroup g any w w\nquorum g\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := tlog.ParsePolicy([]byte(text))
		if err != nil {
			return
		}
		q, err := quorum.New(quorum.Options{Log: log, Policy: p, Logger: quiet})
		if err != nil {
			return
		}
		defer q.Close()
		names := 0
		for _, s := range q.Status() {
			if names += len(s.Names); len(s.Names) == 0 || s.URL == "" {
				t.Errorf("a witness without name or URL: %+v", s)
			}
		}
		if names != len(p.Witnesses) {
			t.Errorf("%d witnesses are asked, and the policy names %d", names, len(p.Witnesses))
		}
		if p.Quorum == tlog.QuorumNone {
			return
		}
		c := &tlog.SignedCheckpoint{Checkpoint: tlog.Checkpoint{Origin: origin, Root: tlog.EmptyRoot()}}
		c.Signatures = []tlog.Signature{signature(t, logKey(t), c.Checkpoint)}
		own := *p
		own.Logs = []tlog.PolicyLog{{Key: log}}
		if _, err := own.Check(c); err == nil {
			t.Error("the log alone is a quorum")
		} else if _, ok := errors.AsType[*tlog.QuorumError](err); !ok {
			t.Error(err)
		}
	})
}
