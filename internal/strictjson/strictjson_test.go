package strictjson_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"vitrine.example/internal/strictjson"
)

// wantError asks for an error that says all of want.
func wantError(t testing.TB, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one that says %q", want)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

type inner struct {
	X *int `json:"x,omitzero"`
}

type outer struct {
	A string            `json:"a,omitzero"`
	N int64             `json:"n,omitzero"`
	F float64           `json:"f,omitzero"`
	O bool              `json:"o,omitzero"`
	T time.Time         `json:"t,omitzero"`
	R json.RawMessage   `json:"r,omitzero"`
	S []inner           `json:"s,omitzero"`
	B []byte            `json:"b,omitzero"`
	M map[string]string `json:"m,omitzero"`
	Y any               `json:"y,omitzero"`
}

func TestRefusals(t *testing.T) {
	for in, want := range map[string]string{
		``:                                    "line 1, column 1: empty, want a JSON value",
		" \n ":                                "line 2, column 2: empty, want a JSON value",
		`{`:                                   "line 1, column 2: ends in the middle of a value",
		`{"a":"x"`:                            "ends in the middle of a value",
		`{"a":"x"} x`:                         "line 1, column 11: invalid character 'x' after top-level value",
		`{"a":"x"}{}`:                         "after top-level value",
		`{"a":"x","a":"y"}`:                   `line 1, column 10, at /a: name "a" twice in one object`,
		`{"a":"x","\u0061":"y"}`:              `name "a" twice in one object`,
		"{\n \"A\":\"x\"}":                    `line 2, column 2, at /A: unknown name "A"`,
		`{"b":1}`:                             "at /b: a number where",
		`{"zz":1}`:                            `at /zz: unknown name "zz"`,
		`{"é":1,"a":2}`:                       `unknown name "é"`,
		`{"m":{"é":"x","q":2}}`:               "line 1, column 19, at /m/q: a number where a string is due",
		`{"a":null}`:                          "line 1, column 6, at /a: null is not allowed: leave the name out",
		`{"s":null}`:                          "at /s: null is not allowed",
		`{"s":[null]}`:                        "at /s/0: null is not allowed",
		`{"s":[{"x":null}]}`:                  "line 1, column 12, at /s/0/x: null is not allowed",
		`{"m":{"k":null}}`:                    "at /m/k: null is not allowed",
		`{"t":null}`:                          "at /t: null is not allowed",
		`{"b":null}`:                          "at /b: null is not allowed",
		`null`:                                "line 1, column 1: null is not allowed",
		`{"r":{"x":1,"x":2}}`:                 `at /r/x: name "x" twice in one object`,
		`{"r":[{"x":1,"x":2}]}`:               `at /r/0/x: name "x" twice`,
		`{"y":{"x":1,"x":2}}`:                 `name "x" twice in one object`,
		`{"m":{"x":"1","x":"2"}}`:             `name "x" twice in one object`,
		`{"a":"\ud800"}`:                      "invalid surrogate pair",
		`{"a":"\udc00\ud800"}`:                "invalid surrogate pair",
		"{\"a\":\"\xff\"}":                    "invalid UTF-8",
		"{\"a\":\"\xc0\x80\"}":                "invalid UTF-8",
		"{\"r\":\"\xed\xa0\x80\"}":            "invalid UTF-8",
		"{\"a\":\"\x1b\"}":                    "in string",
		"{\"a\":\"\n\"}":                      "in string",
		"\ufeff{}":                            "line 1, column 1: invalid character",
		`{"n":1.5}`:                           "at /n: number 1.5 where an integer is due",
		`{"n":1e3}`:                           "at /n: number 1e3 where an integer is due",
		`{"n":99999999999999999999}`:          "out of the range of int64",
		`{"f":1e999}`:                         "out of the range of float64",
		`{"n":"1"}`:                           "a string where an integer is due",
		`{"n":01}`:                            "invalid character",
		`{"n":+1}`:                            "invalid character",
		`{"n":.5}`:                            "invalid character",
		`{"n":1.}`:                            "invalid character",
		`{"n":0x10}`:                          "invalid character",
		`{"n":NaN}`:                           "invalid character",
		`{"o":"true"}`:                        "a string where a boolean is due",
		`{"o":tru}`:                           "invalid character",
		`{"s":{}}`:                            "an object where an array is due",
		`{"m":[]}`:                            "an array where an object is due",
		`[]`:                                  "line 1, column 1: an array where an object is due",
		`{"t":"yesterday"}`:                   "at /t: parsing time",
		`{"b":"YR=="}`:                        "at /b: base64",
		`{"b":"YQ"}`:                          "at /b: base64",
		`{"b":"YQ==\n"}`:                      "at /b: base64",
		`{"b":[1]}`:                           "an array where",
		`{"a":"x",}`:                          "invalid character",
		`{"a":"x" "n":1}`:                     "invalid character",
		`{a:1}`:                               "invalid character",
		`{'a':1}`:                             "invalid character",
		`{"a":"x"} // comment`:                "invalid character",
		`{"r":[[[1]]]}`:                       "line 1, column 8: nested deeper than 3",
		`{"r":` + strings.Repeat("[", 100000): "nested deeper than 3",
		`{"a":"` + strings.Repeat("x", 1000) + `"}`: "1008 bytes, at most 1000 are allowed",
	} {
		lim := strictjson.Limits{Depth: 3, Size: 1000}
		if len(in) > 2000 {
			lim.Size = 1 << 20
		}
		var v outer
		err := strictjson.Unmarshal([]byte(in), &v, lim)
		wantError(t, err, want)
		var e *strictjson.Error
		if !errors.As(err, &e) {
			t.Errorf("%.40q: %T is no *strictjson.Error", in, err)
		}
		if !json.Valid([]byte(in)) {
			if _, err := strictjson.Canonicalize([]byte(in), lim); err == nil {
				t.Errorf("%.40q: canonicalized", in)
			}
		}
	}
}

func TestAccepted(t *testing.T) {
	seven := 7
	for in, want := range map[string]outer{
		"{}":                           {},
		" {\r\n\t}\n":                  {},
		`{"a":"\u0041\/\ud83d\ude00"}`: {A: "A/😀"},
		`{"n":-9223372036854775808}`:   {N: -1 << 63},
		`{"s":[{"x":7},{}]}`:           {S: []inner{{X: &seven}, {}}},
		`{"r":null}`:                   {R: json.RawMessage("null")},
		`{"r": [1, null] }`:            {R: json.RawMessage("[1, null]")},
		`{"y":[null,{"a":null}]}`:      {Y: []any{nil, map[string]any{"a": nil}}},
		`{"b":"YQ=="}`:                 {B: []byte("a")},
		`{"b":""}`:                     {B: []byte{}},
		`{"m":{"":"x"}}`:               {M: map[string]string{"": "x"}},
		`{"t":"2026-01-02T03:04:05Z"}`: {T: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		`{"a":"[[[[[["}`:               {A: "[[[[[["},
		`{"a":"\"[[[[[[\\"}`:           {A: `"[[[[[[\`},
	} {
		var v outer
		if err := strictjson.Unmarshal([]byte(in), &v, strictjson.Limits{Depth: 3}); err != nil {
			t.Errorf("%s: %v", in, err)
		} else if !reflect.DeepEqual(v, want) {
			t.Errorf("%s: %+v, want %+v", in, v, want)
		}
	}
}

// The limits hold exactly: what is at them passes, one more does not.
func TestLimitsAreExact(t *testing.T) {
	var v any
	for depth := range 40 {
		b := []byte(strings.Repeat("[", depth) + strings.Repeat("]", depth))
		if depth == 0 {
			b = []byte("0")
		}
		for _, lim := range []int{0, 1, 5, 39} {
			want := lim
			if lim == 0 {
				want = strictjson.DefaultDepth
			}
			err := strictjson.Unmarshal(b, &v, strictjson.Limits{Depth: lim})
			if (err == nil) != (depth <= want) {
				t.Errorf("depth %d, limit %d: %v", depth, lim, err)
			}
		}
	}
	for _, size := range []int{strictjson.DefaultSize, strictjson.DefaultSize + 1} {
		b := []byte(`"` + strings.Repeat("x", size-2) + `"`)
		err := strictjson.Unmarshal(b, &v, strictjson.Limits{})
		if (err == nil) != (size <= strictjson.DefaultSize) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	// No limit can be asked for that would overflow a stack.
	deep := []byte(strings.Repeat("[", 1<<19) + strings.Repeat("]", 1<<19))
	wantError(t, strictjson.Unmarshal(deep, &v, strictjson.Limits{Depth: 1 << 30}), "nested deeper than 1000")
}

// What was in the value before has no say.
func TestNothingIsMerged(t *testing.T) {
	v := outer{A: "old", M: map[string]string{"old": "x"}, Y: map[string]any{"old": 1}}
	err := strictjson.Unmarshal([]byte(`{"m":{"k":"v"},"y":{"k":"v"}}`), &v, strictjson.Limits{})
	want := outer{M: map[string]string{"k": "v"}, Y: map[string]any{"k": "v"}}
	if err != nil || !reflect.DeepEqual(v, want) {
		t.Errorf("%+v, %v", v, err)
	}
	for _, v := range []any{nil, outer{}, (*outer)(nil)} {
		if strictjson.Unmarshal([]byte(`{}`), v, strictjson.Limits{}) == nil {
			t.Errorf("read into a %T", v)
		}
	}
}

// Errors repeat little of what was sent, and nothing that a terminal acts on.
func TestErrorsAreHarmless(t *testing.T) {
	long := strings.Repeat("q", 100000)
	for _, in := range []string{
		`{"` + long + `":1}`,
		`{"r":{"` + long + `":1,"` + long + `":2}}`,
		`{"m":{"\u001b[31m` + long + `":1}}`,
		`{"\u001b[31m\u202e":1}`,
		`{"t":"` + long + `"}`,
		`{"n":` + strings.Repeat("1", 10000) + `}`,
		`{"b":"` + strings.Repeat("!", 10000) + `"}`,
		`{"r":{"` + strings.Repeat(`é`, 10000) + `":}}`,
	} {
		var v outer
		err := strictjson.Unmarshal([]byte(in), &v, strictjson.Limits{})
		if err == nil {
			t.Errorf("%.40q: accepted", in)
			continue
		}
		if len(err.Error()) > 600 {
			t.Errorf("%.40q: an error of %d bytes", in, len(err.Error()))
		}
		if i := strings.IndexFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%.40q: %q", in, err)
		}
	}
}

func TestNotCanonical(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":"x","n":1}`:         "",
		`{"n":1,"a":"x"}`:         "line 1, column 3, at /n: not in canonical form",
		"{\"a\":\"x\",\n\"n\":1}": "not in canonical form",
		`{"a":"x"} `:              "not in canonical form",
		`{"a":"\u0041"}`:          "line 1, column 7, at /a: not in canonical form",
		`{"a":"\/"}`:              "at /a: not in canonical form",
		`{"f":1.0}`:               "at /f: not in canonical form",
		`{"r":{"b":1,"a":2}}`:     "at /r/b: not in canonical form",
		`{"f":-0}`:                "at /f: not in canonical form",
		`{"r":[1,1.50]}`:          "at /r/1: not in canonical form",
		`{"n":9007199254740993}`:  "at /n: integer 9007199254740993 is beyond",
	} {
		var v outer
		err := strictjson.UnmarshalCanonical([]byte(in), &v, strictjson.Limits{})
		if want == "" && err != nil {
			t.Errorf("%s: %v", in, err)
		} else if want != "" {
			wantError(t, err, want)
		}
	}
}

func TestBase64(t *testing.T) {
	for _, s := range []string{"", "YQ==", "YWI=", "YWJj", "+/+/", "AAAA"} {
		b, err := strictjson.Base64(s)
		if err != nil || base64.StdEncoding.EncodeToString(b) != s {
			t.Errorf("%q: %x, %v", s, b, err)
		}
	}
	for _, s := range []string{
		"Y", "YQ", "YQ=", "YR==", "YWJ=", "YQ==\n", "\nYQ==", "YWJj\nYWJj", "YWJj\r\nYWJj", " YQ==",
		"YQ== ", "YQ==YQ==", "-_-_", "YQ==a", "=", "====", "Y===", "YWI", "é",
	} {
		if b, err := strictjson.Base64(s); err == nil {
			t.Errorf("%q: accepted as %x", s, b)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOf(rapid.RuneFrom([]rune("AQgwz/+=\n"))).Draw(t, "text")
		if b, err := strictjson.Base64(s); err == nil && base64.StdEncoding.EncodeToString(b) != s {
			t.Fatalf("%q: a second encoding of %x", s, b)
		}
	})
}

func ExampleUnmarshal() {
	var v struct {
		Name string `json:"name"`
	}
	err := strictjson.Unmarshal([]byte("{\n  \"Name\": \"x\"\n}"), &v, strictjson.Limits{})
	fmt.Println(err)
	// Output: line 2, column 3, at /Name: unknown name "Name"
}
