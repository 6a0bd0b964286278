package ledger

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vitrine.example/tlog"
)

func hashN(n int) tlog.Hash { return tlog.LeafHash([]byte{byte(n), byte(n >> 8), byte(n >> 16)}) }

// The inbox is bounded in entries and in bytes, whoever comes.
func TestInboxIsBounded(t *testing.T) {
	var b inbox
	b.init(4)
	for n := range maxWaiting {
		if _, _, err := b.join(hashN(n), nil); err != nil {
			t.Fatal(n, err)
		}
	}
	if _, _, err := b.join(hashN(maxWaiting), nil); !errors.Is(err, ErrBusy) {
		t.Errorf("one entry too many: %v", err)
	}
	if _, joined, err := b.join(hashN(7), nil); err != nil || !joined {
		t.Errorf("one that is there already: %v, %v", joined, err)
	}
	b.finish(b.take(1), nil)
	if _, _, err := b.join(hashN(maxWaiting), nil); err != nil {
		t.Errorf("after one has ended: %v", err)
	}

	b = inbox{}
	b.init(4)
	leaf := make([]byte, MaxEntry)
	n := 0
	for ; n < maxWaiting; n++ {
		if _, _, err := b.join(hashN(n), leaf); err != nil {
			break
		}
	}
	if held := n * MaxEntry; held > maxWaitingBytes || held < maxWaitingBytes-MaxEntry {
		t.Errorf("%d bytes are held", held)
	}
	b.failAll(ErrClosed)
	if b.bytes != 0 || b.underWay() != 0 {
		t.Errorf("%d bytes and %d entries are left", b.bytes, b.underWay())
	}
	b.close()
	if _, _, err := b.join(hashN(1), nil); !errors.Is(err, ErrClosed) || b.close() {
		t.Errorf("closed: %v", err)
	}
}

// A call ends once, and every waiter hears of it.
func TestFinishTwice(t *testing.T) {
	var b inbox
	b.init(4)
	c, _, err := b.join(hashN(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	b.finish([]*call{c}, ErrBusy)
	b.finish([]*call{c}, nil)
	again, joined, err := b.join(hashN(1), nil)
	if err != nil || joined || again == c {
		t.Fatalf("an ended call is given again: %v, %v", joined, err)
	}
	b.finish([]*call{c}, nil) // an old one does not end the new one
	select {
	case <-again.done:
		t.Error("ended by another")
	case <-c.done:
		if _, err := c.result(false); !errors.Is(err, ErrBusy) {
			t.Errorf("the first ending counts, got %v", err)
		}
	}
}

func TestAddAnswersBusy(t *testing.T) {
	w := httptest.NewRecorder()
	addFailed(w, ErrBusy)
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
		t.Errorf("%d, %v", w.Code, w.Header())
	}
	w = httptest.NewRecorder()
	addFailed(w, errors.New("disk on fire"))
	if w.Code != http.StatusInternalServerError || w.Header().Get("Retry-After") != "" {
		t.Errorf("%d, %v", w.Code, w.Header())
	}
}

// The signer signs no smaller tree, no other one of the same size, nothing that
// is not a checkpoint, and nothing once it is closed.
func TestSignerAdmits(t *testing.T) {
	text := func(size string, root byte) string {
		return string(tlog.Checkpoint{Origin: "o", Root: tlog.Hash{root}}.Text()[:2]) + size + "\n" + tlog.Hash{root}.String() + "\n"
	}
	s := newSigner(Options{Now: func() (time.Time, error) { return time.Time{}, nil }}, func() {})
	s.remember(5, tlog.Hash{5})
	for _, tt := range []struct {
		text string
		ok   bool
	}{
		{text("5", 5), true}, {text("5", 5), true}, {text("5", 6), false}, {text("4", 4), false},
		{text("9", 9), true}, {text("8", 9), false}, {text("9", 5), false}, {text("10", 1), true},
		{"", false}, {"o\n11\n", false}, {text("x", 1), false}, {"o\n11\nAAAA\n", false}, {text("11", 1) + "extension\n", false},
	} {
		if err := s.admit(tt.text); (err == nil) != tt.ok {
			t.Errorf("%q: %v", tt.text, err)
		}
	}
	s.close()
	if err := s.admit(text("12", 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// Of all names in the directory of a log only those that Tessera leaves behind
// are taken for strays.
func TestStrayNames(t *testing.T) {
	for _, name := range []string{"checkpoint1", "treeState2147483647", "version0", "gcState77", "0001", "0002147483647", "2551234"} {
		if !isStray(name) {
			t.Errorf("%s is kept", name)
		}
	}
	for _, name := range []string{"checkpoint", "treeState", "treeState.lock", "version", "gcState", "gcState.lock", "publish.lock",
		".lock", "000", "255", "1", "x001", "000.p", "vitrine.db", "0001x", "x0001234"} {
		if isStray(name) {
			t.Errorf("%s is removed", name)
		}
	}
}

// The cache keeps as many as it may, and those used last.
func TestLRU(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		c := newLRU[int, string](limit)
		var recent []int // newest first
		values := map[int]string{}
		touch := func(k int) {
			for i, r := range recent {
				if r == k {
					recent = append(recent[:i], recent[i+1:]...)
					break
				}
			}
			recent = append([]int{k}, recent...)
			recent = recent[:min(len(recent), limit)]
		}
		holds := func(k int) bool {
			for _, r := range recent {
				if r == k {
					return true
				}
			}
			return false
		}
		for range rapid.IntRange(0, 50).Draw(t, "steps") {
			k := rapid.IntRange(0, 7).Draw(t, "key")
			if rapid.Bool().Draw(t, "put") {
				values[k] = rapid.StringN(1, 3, -1).Draw(t, "value")
				c.put(k, values[k])
				touch(k)
				continue
			}
			want := ""
			if holds(k) {
				want = values[k]
				touch(k)
			}
			if got := c.get(k); got != want {
				t.Fatalf("key %d: %q, want %q", k, got, want)
			}
		}
	})
}

// Bundles are read to the byte; nothing hostile makes the reader fail badly.
func FuzzBundle(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 0, 0, 0, 2, 'b', 'c'}, uint8(3))
	f.Add([]byte{0, 9, 'a'}, uint8(1))
	f.Add([]byte{}, uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
		end, err := bundleEnd(b, int(n))
		if err != nil {
			return
		}
		list := entries(b[:end])
		if len(list) != int(n) {
			t.Fatalf("%d entries, want %d", len(list), n)
		}
		var again bytes.Buffer
		for _, e := range list {
			again.WriteByte(byte(len(e) >> 8))
			again.WriteByte(byte(len(e)))
			again.Write(e)
		}
		if !bytes.Equal(again.Bytes(), b[:end]) {
			t.Fatalf("%x became %x", b[:end], again.Bytes())
		}
	})
}

func TestWidthAt(t *testing.T) {
	for _, tt := range []struct {
		size  int64
		level int
		index int64
		want  int
	}{
		// The examples of tlog-tiles, "Partial Tiles".
		{70000, 0, 272, 256}, {70000, 0, 273, 112}, {70000, 0, 274, 0}, {70000, 1, 0, 256}, {70000, 1, 1, 17},
		{70000, 2, 0, 1}, {70000, 3, 0, 0}, {256, 0, 0, 256}, {256, 1, 0, 1}, {70000, tlog.EntriesLevel, 273, 112},
		{0, 0, 0, 0}, {1 << 62, 7, 0, 64}, {1 << 62, 8, 0, 0}, {1 << 62, 63, 0, 0},
	} {
		if got := widthAt(tt.size, tt.level, tt.index); got != tt.want {
			t.Errorf("size %d, level %d, tile %d: %d, want %d", tt.size, tt.level, tt.index, got, tt.want)
		}
	}
}

func TestOutcomes(t *testing.T) {
	for want, got := range map[string]string{
		"busy": outcome(Entry{}, ErrBusy), "duplicate": outcome(Entry{Duplicate: true}, nil),
		"new": outcome(Entry{}, nil), "failed": outcome(Entry{}, ErrClosed),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Tessera's complaints are kept and passed on; the rest is for debugging.
func TestRelay(t *testing.T) {
	var out bytes.Buffer
	to := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for line, want := range map[string]string{
		"W1123 20:15:01.123456   12345 files.go:170] publishCheckpoint: no space [x] left\n": `level=WARN msg="publishCheckpoint: no space [x] left"`,
		"E1123 20:15:01.123456   12345 files.go:170] Integrate failed\n":                     `level=WARN msg="Integrate failed"`,
		"I1123 20:15:01.123456   12345 files.go:170] Initializing\n":                         `level=DEBUG msg=Initializing`,
		"": "", "nonsense": "", "W]": "",
	} {
		out.Reset()
		relay(to, []byte(line))
		if got := out.String(); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%q became %q", line, got)
		}
	}
	complaint.Store(nil)
	relay(to, []byte("I1 a] b"))
	if err := lastComplaint(); err != nil {
		t.Errorf("a message is taken for a complaint: %v", err)
	}
	relay(to, []byte("W1 a] b"))
	if err := lastComplaint(); err == nil || err.Error() != "b" {
		t.Errorf("the last complaint is %v", err)
	}
}
