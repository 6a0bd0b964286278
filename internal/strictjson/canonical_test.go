package strictjson_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"pgregory.net/rapid"

	"vitrine.example/internal/strictjson"
)

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", path))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRFC8785Documents(t *testing.T) {
	files, err := filepath.Glob("testdata/rfc8785/input/*.json")
	if err != nil || len(files) != 6 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		want := read(t, "rfc8785/output/"+name)
		got, err := strictjson.Canonicalize(read(t, "rfc8785/input/"+name), strictjson.Limits{})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, want)
		}
		var v any
		if err := strictjson.UnmarshalCanonical(want, &v, strictjson.Limits{}); err != nil {
			t.Errorf("%s: reading the canonical form: %v", name, err)
		}
		if again, err := strictjson.Canonical(v); err != nil || !bytes.Equal(again, want) {
			t.Errorf("%s: written again: %v\n%s", name, err, again)
		}
		if name == "french.json" || name == "unicode.json" || name == "weird.json" || name == "values.json" {
			wantError(t, strictjson.UnmarshalCanonical(read(t, "rfc8785/input/"+name), &v, strictjson.Limits{}),
				"line 1, column 2", "not in canonical form")
		}
	}
}

// Every double of the vectors is written as ECMAScript writes it, or refused
// because it would be written as an integer that not every reader can hold.
func TestRFC8785Numbers(t *testing.T) {
	z, err := gzip.NewReader(bytes.NewReader(read(t, "rfc8785/numbers.txt.gz")))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	const published = "b9f7a8e75ef22a835685a52ccba7f7d6bdc99e34b010992cbc5864cd12be6892"
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != published {
		t.Fatalf("numbers.txt has the SHA-256 %x", sum)
	}
	lines, refused := 0, 0
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); lines++ {
		bits, want, _ := strings.Cut(sc.Text(), ",")
		u, err := strconv.ParseUint(bits, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		f := math.Float64frombits(u)
		unsafe := math.Abs(f) >= 1<<53 && math.Abs(f) < 1e21
		// As a program has it, as its canonical form, and as another writes it.
		fromFloat, err1 := strictjson.Canonical(f)
		fromText, err2 := strictjson.Canonicalize([]byte(want), strictjson.Limits{})
		fromOther, err3 := strictjson.Canonicalize(strconv.AppendFloat(nil, f, 'e', 17, 64), strictjson.Limits{})
		if unsafe {
			refused++
			for _, err := range []error{err1, err2, err3} {
				wantError(t, err, "beyond ±(2^53-1)")
			}
			continue
		}
		if err1 != nil || err2 != nil || err3 != nil ||
			string(fromFloat) != want || string(fromText) != want || string(fromOther) != want {
			t.Errorf("%s: %s (%v), %s (%v), %s (%v), want %s", bits, fromFloat, err1, fromText, err2, fromOther, err3, want)
		}
	}
	if lines != 10000 || refused < 10 || refused > 500 {
		t.Errorf("%d lines, %d refused", lines, refused)
	}
}

func TestNumbersThatWouldChange(t *testing.T) {
	for in, want := range map[string]string{
		"9007199254740991":                   "",
		"-9007199254740991":                  "",
		"9007199254740992":                   "beyond ±(2^53-1): write it as a string",
		"-9007199254740992":                  "beyond",
		"12345678901234567890":               "beyond",
		"1e20":                               "beyond",
		"1000000000000000000000":             "beyond",
		"9007199254740993.0":                 "beyond",
		"1e21":                               "",
		"1e308":                              "",
		"1e309":                              "out of the range of a double",
		"-1e999":                             "out of the range of a double",
		"1e-323":                             "",
		"1e-400":                             "too small for a double",
		"0e-400":                             "",
		"0.0":                                "",
		"-0":                                 "",
		strings.Repeat("1", 65):              "65 characters",
		"0." + strings.Repeat("0", 70) + "1": "characters",
	} {
		_, err := strictjson.Canonicalize([]byte(in), strictjson.Limits{})
		if want == "" && err != nil {
			t.Errorf("%s: %v", in, err)
		} else if want != "" {
			wantError(t, err, want)
		}
		// Where numbers are kept raw they are nobody's business.
		var raw json.RawMessage
		if err := strictjson.Unmarshal([]byte(in), &raw, strictjson.Limits{}); err != nil || string(raw) != in {
			t.Errorf("%s raw: %s, %v", in, raw, err)
		}
	}
	_, err := strictjson.Canonical(map[string]any{"a": []int64{1, 1 << 60}})
	wantError(t, err, "at /a/1", "integer 1152921504606846976 is beyond")
	for _, v := range []any{math.NaN(), math.Inf(1), "\xff", map[string]any{"\xff": 1}, func() {}, make(chan int)} {
		if b, err := strictjson.Canonical(v); err == nil {
			t.Errorf("%v: %s", v, b)
		}
	}
}

// anyValue draws what JSON can say and RFC 8785 can carry.
func anyValue(depth int) *rapid.Generator[any] {
	kinds := []*rapid.Generator[any]{
		rapid.Just(any(nil)),
		rapid.Bool().AsAny(),
		rapid.String().AsAny(),
		rapid.Map(rapid.Int64Range(-(1<<53-1), 1<<53-1), func(i int64) any { return float64(i) }),
		rapid.Float64Range(-1, 1).AsAny(),
	}
	if depth > 0 {
		kinds = append(kinds,
			rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[any] { return anyValue(depth - 1) }), 0, 4).AsAny(),
			rapid.MapOfN(rapid.String(), rapid.Deferred(func() *rapid.Generator[any] { return anyValue(depth - 1) }), 0, 4).AsAny(),
		)
	}
	return rapid.OneOf(kinds...)
}

// Canonical forms are read back as the same value; canonicalizing any other
// encoding of the value gives the same bytes; names stand in the order of their
// UTF-16 code units.
func TestCanonicalLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyValue(3).Draw(t, "value")
		canonical, err := strictjson.Canonical(v)
		if err != nil {
			t.Fatal(err)
		}
		indented, err := json.MarshalIndent(v, " ", "\t")
		if err != nil {
			t.Fatal(err)
		}
		again, err := strictjson.Canonicalize(indented, strictjson.Limits{})
		if err != nil || !bytes.Equal(again, canonical) {
			t.Fatalf("of another encoding: %v\n%s\n%s", err, again, canonical)
		}
		var back any
		if err := strictjson.UnmarshalCanonical(canonical, &back, strictjson.Limits{}); err != nil {
			t.Fatal(err)
		}
		if again, err = strictjson.Canonical(back); err != nil || !bytes.Equal(again, canonical) {
			t.Fatalf("read back: %v\n%s\n%s", err, again, canonical)
		}
		if len(indented) != len(canonical) {
			var x any
			if strictjson.UnmarshalCanonical(indented, &x, strictjson.Limits{}) == nil {
				t.Fatal("a second encoding is accepted")
			}
		}
	})
}

func TestNamesInOrderOfUTF16(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOf(rapid.String(), rapid.Just(1)).Draw(t, "object")
		b, err := strictjson.Canonical(m)
		if err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(bytes.NewReader(b))
		var last []uint16
		for i := 0; ; i++ {
			tok, err := dec.Token()
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			name, ok := tok.(string)
			if !ok {
				continue
			}
			units := utf16.Encode([]rune(name))
			if last != nil && compare(last, units) >= 0 {
				t.Fatalf("%q stands too late in %s", name, b)
			}
			last = units
		}
	})
}

func compare(a, b []uint16) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return int(a[i]) - int(b[i])
		}
	}
	return len(a) - len(b)
}
