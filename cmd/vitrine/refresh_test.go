package main

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"vitrine.example/internal/centre"
	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/proof"
	"vitrine.example/tlog"
)

// hostile is a server that answers what it likes.
type hostile struct {
	keys   centre.Info
	answer *tlog.Proof
}

func (h hostile) info(context.Context) (centre.Info, error) { return h.keys, nil }

func (h hostile) proof(context.Context, int64) ([]byte, error) { return h.answer.Marshal(), nil }

// A bundle is not spoilt by what a server says: only the log that signed the
// old checkpoint can give a new one.
func TestRefreshTakesOnlyWhatTheLogSigned(t *testing.T) {
	w := fixture.New("refresh", key.P256)
	l := w.Logged("pkg:generic/app", "1.0", "", fixture.File{Name: "app", Data: []byte("app")})
	old, err := (&proof.Bundle{Statements: []proof.Logged{l}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := l.Envelope.Leaf(w.Vendor.Public())
	if err != nil {
		t.Fatal(err)
	}
	w.Fill(5)
	newer := w.Prove(l.Proof.Index)
	impostor := fixture.New("impostor", key.P256)
	info := func(logs ...*fixture.World) centre.Info {
		i := centre.Info{Origin: w.Origin, Statement: []string{string(w.Vendor.Public().PEM())}}
		for _, l := range logs {
			i.Log = append(i.Log, l.Log.Verifier().String())
		}
		return i
	}
	// forged is a tree in which the entry stands where it stood, among others.
	forged := func(size int64, by *fixture.World) *tlog.Proof {
		other := fixture.New("other", key.P256)
		for i := range size {
			if i == l.Proof.Index {
				other.Add(leaf)
			} else {
				other.Add([]byte("another entry"))
			}
		}
		p := other.Prove(l.Proof.Index)
		p.Checkpoint.Signatures = by.Signed(p.Checkpoint.Checkpoint).Signatures
		return p
	}
	same := l.Proof.Checkpoint.Size
	broken := *newer
	checkpoint := *newer.Checkpoint
	checkpoint.Signatures = []tlog.Signature{l.Proof.Checkpoint.Signatures[0]}
	broken.Checkpoint = &checkpoint
	for name, tt := range map[string]struct {
		server hostile
		want   string
	}{
		"honest":                        {hostile{info(w), newer}, ""},
		"the same again":                {hostile{info(w), l.Proof}, ""},
		"an old signature":              {hostile{info(w), &broken}, "does not verify"},
		"another key, shown":            {hostile{info(impostor), forged(20, impostor)}, "no key that signed"},
		"another key, behind the right": {hostile{info(w, impostor), forged(20, impostor)}, "no signature"},
		"two histories of one size":     {hostile{info(w), forged(same, w)}, "two histories"},
		"no keys at all":                {hostile{info(), newer}, "no key that signed"},
	} {
		b, err := proof.Parse(old)
		if err != nil {
			t.Fatal(err)
		}
		_, err = refresh(context.Background(), b, tt.server, false)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		again, merr := b.Marshal()
		if merr != nil || err != nil && !bytes.Equal(again, old) {
			t.Errorf("%s: the bundle was changed (%v)", name, merr)
		}
	}
}

// A proof is replaced only where every key that signed the old checkpoint signed
// the new one too, or where that is not asked for.
func TestRefreshLosesNoCosignature(t *testing.T) {
	w := fixture.New("cosigned", key.P256, "one", "two")
	one, two := w.Witnesses[0], w.Witnesses[1]
	l := w.Logged("pkg:generic/app", "1.0", "", fixture.File{Name: "app", Data: []byte("app")})
	info := centre.Info{Origin: w.Origin, Statement: []string{string(w.Vendor.Public().PEM())}, Log: []string{w.Log.Verifier().String()}}
	w.Fill(5)
	for name, tt := range map[string]struct {
		was, is []*fixture.Witness
		fewer   bool
		missing []*fixture.Witness // where it is kept
	}{
		"the same":                  {was: []*fixture.Witness{one, two}, is: []*fixture.Witness{two, one}},
		"one more":                  {was: []*fixture.Witness{one}, is: []*fixture.Witness{one, two}},
		"the first":                 {is: []*fixture.Witness{one, two}},
		"none at all":               {},
		"one less":                  {was: []*fixture.Witness{one, two}, is: []*fixture.Witness{two}, missing: []*fixture.Witness{one}},
		"both gone":                 {was: []*fixture.Witness{one, two}, missing: []*fixture.Witness{one, two}},
		"another":                   {was: []*fixture.Witness{one}, is: []*fixture.Witness{two}, missing: []*fixture.Witness{one}},
		"both gone, which is meant": {was: []*fixture.Witness{one, two}, fewer: true},
	} {
		had := l
		old := *l.Proof
		old.Checkpoint = w.Signed(l.Proof.Checkpoint.Checkpoint, tt.was...)
		had.Proof = &old
		b := &proof.Bundle{Statements: []proof.Logged{had}}
		newer := w.Prove(l.Proof.Index, tt.is...)
		done, err := refresh(t.Context(), b, hostile{info, newer}, tt.fewer)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		size := newer.Checkpoint.Size
		want := refreshed{fresh: 1}
		if len(tt.missing) > 0 {
			size = old.Checkpoint.Size
			want = refreshed{kept: 1}
			for _, m := range tt.missing {
				v := m.Verifier()
				want.missing = append(want.missing, fmt.Sprintf("%s+%08x", v.Name(), v.KeyID()))
			}
		}
		if got := b.Statements[0].Proof.Checkpoint.Size; got != size || !reflect.DeepEqual(done, want) {
			t.Errorf("%s: %+v, size %d; want %+v, size %d", name, done, got, want, size)
		}
	}
}
