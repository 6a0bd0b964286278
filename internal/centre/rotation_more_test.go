package centre

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

// TestRestoreAcrossARotation: a mirror that stood still before the rotation has
// checkpoints of the retired key alone, and still brings the log back.
func TestRestoreAcrossARotation(t *testing.T) {
	dir := newNode(t, InitOptions{})
	h := connect(t, dir)
	one := publish(t, h, "1", "one")
	check(t, h.Close(within(t)))
	_, url := mirrorOf(t, dir, one.Envelope.Digest())
	for _, kind := range []string{"log", statementKind} {
		stepped(t, dir, "prepare", kind)
		stepped(t, dir, "use", kind)
	}
	h = connect(t, dir)
	await(t, "a checkpoint that the new key has signed", func() bool {
		_, err := h.Rotate(within(t), RotateAsk{Do: "retire", Kind: "log"})
		if err != nil && !errors.Is(err, ErrRotation) {
			t.Fatal(err)
		}
		return err == nil || publish(t, h, "2", "two").Duplicate
	})
	check(t, h.Close(within(t)))
	stepped(t, dir, "retire", statementKind)
	for _, name := range []string{logDir, contentDir, "vitrine.db", "vitrine.db-wal", "vitrine.db-shm"} {
		check(t, os.RemoveAll(filepath.Join(dir, name)))
	}
	r, err := RestoreLog(within(t), dir, RestoreOptions{From: []string{url}, AcceptNewest: true})
	check(t, err)
	if r.Size != 1 || r.Statements != 1 {
		t.Errorf("restored %+v of %+v", r, r.Restored)
	}
	h = connect(t, dir)
	if got := listed(t, h); len(got) != 1 {
		_, err := h.Rebuild(within(t), nil)
		check(t, err)
	}
	if r, err := h.Submit(within(t), one.Envelope.Bytes()); err != nil || r.Index != 0 || !r.Duplicate {
		t.Errorf("again under the retired key: %+v, %v", r, err)
	}
	publish(t, h, "3", "three")
	check(t, h.Close(within(t)))
	wantSound(t, dir)
}

// TestRotationOfTheWitness: in the overlap a checkpoint is cosigned with old and
// new keys, and a new key signs no second view of a log, on either engine. A log
// outside of a circle whose key was rotated is given the new one.
func TestRotationOfTheWitness(t *testing.T) {
	eachEngine(t, func(t *testing.T, dir string) {
		vendor := newNode(t, InitOptions{URL: "https://vendor.example"})
		addr, stopVendor := serve(t, vendor)
		v := &circleNode{dir: vendor, addr: addr, Handle: connect(t, vendor), stop: stopVendor}
		publish(t, v.Handle, "1", "one")
		honest, forged := v.newest(t)
		h := connect(t, dir)
		call := WitnessCall{Do: "add", Log: WitnessLog{Origin: v.info.Origin, Keys: v.info.Log}}
		_, err := h.Witness(within(t), call)
		check(t, err)
		check(t, h.Close(within(t)))
		for _, kind := range []string{"witness", "witness-mldsa", "mirror"} {
			stepped(t, dir, "prepare", kind)
			stepped(t, dir, "use", kind)
		}
		addr, stop := serve(t, dir)
		w := &circleNode{dir: dir, addr: addr, Handle: connect(t, dir)}
		if keys := w.Info().Witness; len(keys) != 4 {
			t.Errorf("witness keys in the overlap: %v", keys)
		}
		if code := w.cosign(t, 0, nil, honest); code != http.StatusOK {
			t.Fatalf("cosigning in the overlap: %d", code)
		}
		at := fmt.Sprintf("%s/witness/%x/checkpoint", addr, witness.OriginHash(v.info.Origin))
		_, _, body := get(t, at)
		c, err := tlog.ParseCheckpoint([]byte(body))
		check(t, err)
		for _, k := range w.Info().Witness {
			if !signs(t, k, c) {
				t.Errorf("not cosigned with %s", k)
			}
		}
		stop()
		for _, kind := range []string{"witness", "witness-mldsa", "mirror"} {
			stepped(t, dir, "retire", kind)
		}
		addr, stop = serve(t, dir)
		w = &circleNode{dir: dir, addr: addr, Handle: connect(t, dir)}
		if code := w.cosign(t, honest.Size, nil, forged); code == http.StatusOK {
			t.Error("a new key has cosigned another view of the log")
		}
		if code := w.cosign(t, 0, nil, honest); code != http.StatusConflict {
			t.Errorf("the witness has forgotten what it cosigned: %d", code)
		}
		// The log's key is rotated without a circle.
		next, err := v.Rotate(within(t), RotateAsk{Do: "prepare", Kind: "log"})
		check(t, err)
		call.Log.Keys = append(call.Log.Keys, next.Key)
		if _, err := w.Witness(within(t), call); !errors.Is(err, witness.ErrDifferent) {
			t.Errorf("other keys, unasked: %v", err)
		}
		call.Replace = true
		a, err := w.Witness(within(t), call)
		if err != nil || len(a.Log.Keys) != 2 || a.Log.Size != honest.Size {
			t.Errorf("other keys: %+v, %v", a, err)
		}
		ask := MirrorAsk{Do: "add", Origin: v.info.Origin, Keys: call.Log.Keys[:1]}
		_, err = w.Mirror(within(t), ask)
		check(t, err)
		ask.Keys = call.Log.Keys
		if _, err := w.Mirror(within(t), ask); err == nil {
			t.Error("the mirror took other keys, unasked")
		}
		ask.Replace = true
		_, err = w.Mirror(within(t), ask)
		check(t, err)
		stop()
	})
}

// FuzzRingName: a name of the ring is read in one way, or is none.
func FuzzRingName(f *testing.F) {
	for _, s := range []string{"log.next.20300101T000000Z.pem", "statement.old.20300101T000000Z.pem", "log-mldsa.20300101T000000Z.pub",
		"mirror.20300101T000000Z.stolen.pub", "log.pem", "log.old.20301301T000000Z.pem", "log.old..pem", "bastion.pem"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		for _, dir := range []string{keysDir, retiredDir} {
			k, ok := parseRingName(dir, name)
			if ok && (ringName(k.kind.name, k.state, k.at) != dir+"/"+name || strings.ContainsAny(name, "/\\\x00")) {
				t.Errorf("%q is read as %q", name, ringName(k.kind.name, k.state, k.at))
			}
		}
	})
}
