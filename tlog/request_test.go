package tlog

import (
	"reflect"
	"strings"
	"testing"
)

// requests makes one of each kind.
func requests(t testing.TB) (*AddCheckpoint, *SignSubtree) {
	m := newTree(t, 14)
	log, w := newSigner(t, "log.example", Ed25519), newSigner(t, "w", Ed25519Cosignature)
	sub, err := ReadSubtree(8, 13, m)
	if err != nil {
		t.Fatal(err)
	}
	p, err := sub.Prove(14, m)
	if err != nil {
		t.Fatal(err)
	}
	return &AddCheckpoint{Old: 8, Proof: p, Checkpoint: m.signed(t, "log.example", 14, log)},
		&SignSubtree{Subtree: sub, Proof: p, Checkpoint: m.signed(t, "log.example", 14, w)}
}

func TestRequests(t *testing.T) {
	add, sign := requests(t)
	if got, err := ParseAddCheckpoint(add.Marshal()); err != nil || !reflect.DeepEqual(got, add) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ParseSignSubtree(sign.Marshal()); err != nil || !reflect.DeepEqual(got, sign) {
		t.Errorf("%+v, %v", got, err)
	}
}

// One thing is changed in a good request; each line of the error is counted in
// the request, not in the checkpoint.
func TestRequestsRefused(t *testing.T) {
	add, sign := requests(t)
	hash := encodeBase64(make([]byte, 32))
	for _, c := range []struct{ from, to, want string }{
		{"old 8", "old 08", "line 1: old size"},
		{"old 8", "old 00", "line 1"}, {"old 8", "old -8", "line 1"}, {"old 8", "old +8", "line 1"},
		{"old 8", "old  8", "line 1"}, {"old 8", "old 8 ", "line 1"}, {"old 8", "old\t8", "line 1"},
		{"old 8", "Old 8", "line 1"}, {"old 8", "8", "line 1"}, {"old 8", "old ", "line 1"},
		{"old 8", "old 8\r", "line 1"}, {"old 8", "old 0x8", "line 1"}, {"old 8", "old 9223372036854775808", "line 1"},
		{"old 8\n", "", "line 1"}, {"old 8\n", "\nold 8\n", "line 1"},
		{"old 8\n", "old 8\n" + hash[1:] + "\n", "line 2: proof"},
		{"old 8\n", "old 8\n" + strings.TrimRight(hash, "=") + "\n", "line 2"},
		{"old 8\n", "old 8\n" + hash + "\r\n", "line 2"}, {"old 8\n", "old 8\n " + hash + "\n", "line 2"},
		{"old 8\n", "old 8\n" + hash[:42] + "B=\n", "line 2"}, {"old 8\n", "old 8\nAAAA\n", "line 2"},
		{"old 8\n", "old 8\n" + strings.Repeat(hash+"\n", 64), "line 65: more than 63"},
		{"\nlog.example\n", "\n\nlog.example\n", "empty origin"},
		{"\nlog.example\n", "log.example\n", "proof"},
		{"\n14\n", "\n014\n", "line 8"}, {"\n14\n", "\n4611686018427387905\n", "line 8"},
	} {
		refuseRequest(t, add.Marshal(), c.from, c.to, c.want, func(b []byte) error { _, err := ParseAddCheckpoint(b); return err })
	}
	for _, c := range []struct{ from, to, want string }{
		{"subtree 8 13", "subtree 08 13", "line 1: start"}, {"subtree 8 13", "subtree 8 013", "line 1: end"},
		{"subtree 8 13", "subtree 8 8", "line 1"}, {"subtree 8 13", "subtree 13 8", "line 1"}, {"subtree 8 13", "subtree 4 13", "line 1"},
		{"subtree 8 13", "subtree 0 15", "line 1"}, {"subtree 8 13", "subtree 8 13 ", "line 1"}, {"subtree 8 13", "subtree 8  13", "line 1"},
		{"subtree 8 13", "subtree 8", "line 1"}, {"subtree 8 13", "tree 8 13", "line 1"}, {"subtree 8 13", "subtree -8 13", "line 1"},
		{encodeBase64(sign.Subtree.Hash[:]), "AAAA", "line 2: hash"}, {encodeBase64(sign.Subtree.Hash[:]) + "\n", "\n", "line 2"},
		{"\n\n", "\n" + strings.Repeat(hash+"\n", 64) + "\n", "more than 63"},
	} {
		refuseRequest(t, sign.Marshal(), c.from, c.to, c.want, func(b []byte) error { _, err := ParseSignSubtree(b); return err })
	}
}

func refuseRequest(t *testing.T, good []byte, from, to, want string, parse func([]byte) error) {
	t.Helper()
	in := strings.Replace(string(good), from, to, 1)
	if in == string(good) {
		t.Fatalf("%q is not in the request", from)
	}
	if err := parse([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%q → %q: %v, want %q", from, to, err, want)
	}
}

// Cut anywhere, a request is refused; so is one that is too long.
func TestRequestsCut(t *testing.T) {
	add, sign := requests(t)
	for b := add.Marshal(); len(b) > 0; {
		b = b[:len(b)-1]
		if _, err := ParseAddCheckpoint(b); err == nil {
			t.Errorf("%q: accepted", b)
		}
	}
	for b := sign.Marshal(); len(b) > 0; {
		b = b[:len(b)-1]
		if _, err := ParseSignSubtree(b); err == nil {
			t.Errorf("%q: accepted", b)
		}
	}
	long := make([]byte, MaxRequest+1)
	if _, err := ParseAddCheckpoint(long); err == nil || !strings.Contains(err.Error(), "want at most") {
		t.Error(err)
	}
	if _, err := ParseSignSubtree(long); err == nil || !strings.Contains(err.Error(), "want at most") {
		t.Error(err)
	}
}

func TestSize(t *testing.T) {
	for _, n := range []int64{0, 7, 1<<63 - 1} {
		if got, err := ParseSize(FormatSize(n)); err != nil || got != n {
			t.Errorf("%d: %d, %v", n, got, err)
		}
	}
	for _, bad := range []string{"", "\n", "7", "07\n", "7\r\n", "7\n\n", " 7\n", "-7\n", "9223372036854775808\n", strings.Repeat("1", 1<<20) + "\n"} {
		if n, err := ParseSize([]byte(bad)); err == nil {
			t.Errorf("%.40q: %d", bad, n)
		}
	}
}

func FuzzAddCheckpoint(f *testing.F) {
	add, _ := requests(f)
	f.Add(string(add.Marshal()))
	f.Add("old 0\n\na\n0\n" + root0 + "\n\n" + sigA)
	f.Fuzz(func(t *testing.T, in string) {
		if q, err := ParseAddCheckpoint([]byte(in)); err == nil {
			if string(q.Marshal()) != in {
				t.Errorf("%q is written as %q", in, q.Marshal())
			}
			_ = VerifyConsistency(q.Old, q.Checkpoint.Size, Hash{}, q.Checkpoint.Root, q.Proof) // returns
		}
	})
}

func FuzzSignSubtree(f *testing.F) {
	_, sign := requests(f)
	f.Add(string(sign.Marshal()))
	f.Fuzz(func(t *testing.T, in string) {
		if q, err := ParseSignSubtree([]byte(in)); err == nil {
			if string(q.Marshal()) != in {
				t.Errorf("%q is written as %q", in, q.Marshal())
			}
			_ = q.Subtree.Verify(q.Checkpoint.Size, q.Checkpoint.Root, q.Proof) // returns
		}
	})
}

func FuzzSize(f *testing.F) {
	f.Add("0\n")
	f.Fuzz(func(t *testing.T, in string) {
		if n, err := ParseSize([]byte(in)); err == nil && string(FormatSize(n)) != in {
			t.Errorf("%q is written as %q", in, FormatSize(n))
		}
	})
}
