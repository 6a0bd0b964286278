package strictjson

import (
	"errors"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// options are what [Unmarshal] asks of the JSON library.
var options = json.JoinOptions(
	json.DefaultOptionsV2(), // no duplicates, case matters, UTF-8 or nothing
	json.RejectUnknownMembers(true),
	json.WithUnmarshalers(bytesOnce),
)

// nullOptions are options for data that has a null somewhere: looking at each
// value for one takes a tenth of the time of reading.
var nullOptions = json.JoinOptions(options, json.WithUnmarshalers(json.JoinUnmarshalers(noNull, bytesOnce)))

func decode(data []byte, v any, options json.Options) error {
	if p := reflect.ValueOf(v); p.Kind() == reflect.Pointer && !p.IsNil() {
		p.Elem().SetZero() // the library would merge objects into what is there
	}
	if err := json.Unmarshal(data, v, options); err != nil {
		return explain(data, err)
	}
	return nil
}

// noNull refuses null for everything that is not kept raw or dynamic: null and
// absence would be two ways to say one thing.
var noNull = json.UnmarshalFromFunc(func(dec *jsontext.Decoder, v any) error {
	if dec.PeekKind() != 'n' || mayBeNull(v) {
		return errors.ErrUnsupported // go on as usual
	}
	return errors.New("null is not allowed: leave the name out")
})

func mayBeNull(v any) bool {
	switch v.(type) {
	case *any, *jsontext.Value:
		return true
	}
	// encoding/json.RawMessage, without importing that package.
	t := reflect.TypeOf(v).Elem()
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 && t.Name() == "RawMessage"
}

// bytesOnce reads []byte from base64 as [Base64] does; the library would let
// non-zero trailing bits pass.
var bytesOnce = json.UnmarshalFromFunc(func(dec *jsontext.Decoder, v *[]byte) error {
	if dec.PeekKind() != '"' {
		return errors.ErrUnsupported
	}
	tok, err := dec.ReadToken()
	if err != nil {
		return err
	}
	*v, err = Base64(tok.String())
	return err
})
