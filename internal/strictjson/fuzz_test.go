package strictjson_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"vitrine.example/internal/strictjson"
)

func seeds(f *testing.F) {
	f.Helper()
	for _, s := range []string{
		`{"a":"x","n":1,"f":0.5,"o":true,"t":"2026-01-02T03:04:05Z","r":[1,null],"s":[{"x":7}],"b":"YQ==","m":{"k":"v"},"y":{"z":[]}}`,
		`{"a":"\ud83d\ude00\u0000"}`, `{"a":"x","a":"y"}`, `{"A":"x"}`, `[]`, `null`, ` {} `, `{"n":1e3}`, `{"a":"` + "\xff" + `"}`,
		`{"y":12345678901234567890}`, `{"t":"2026-01-02t03:04:05.0+00:00"}`, `{"b":"YR=="}`, `{"y":[[[[[[[[[[]]]]]]]]]]}`, `{"f":-0}`, `1e21`,
	} {
		f.Add([]byte(s))
	}
}

// What is accepted is accepted by encoding/json too, as the same value.
func FuzzUnmarshal(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var v, std outer
		if strictjson.Unmarshal(data, &v, strictjson.Limits{}) != nil {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&std); err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		if !reflect.DeepEqual(v, std) {
			t.Fatalf("%+v, and encoding/json reads %+v", v, std)
		}
	})
}

// The canonical form is a fixed point, says the same to encoding/json, and is
// the one encoding that UnmarshalCanonical takes.
func FuzzCanonicalize(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		canonical, err := strictjson.Canonicalize(data, strictjson.Limits{})
		if err != nil {
			return
		}
		again, err := strictjson.Canonicalize(canonical, strictjson.Limits{Size: max(1, len(canonical))})
		if err != nil || !bytes.Equal(again, canonical) {
			t.Fatalf("%v: %s, and again %s", err, canonical, again)
		}
		var a, b any
		if err := json.Unmarshal(data, &a); err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		if err := json.Unmarshal(canonical, &b); err != nil || !reflect.DeepEqual(a, b) {
			t.Fatalf("%v: %s says something else", err, canonical)
		}
		var v any
		err = strictjson.UnmarshalCanonical(data, &v, strictjson.Limits{})
		if (err == nil) != bytes.Equal(data, canonical) {
			t.Fatalf("UnmarshalCanonical: %v, canonical form %s", err, canonical)
		}
	})
}
