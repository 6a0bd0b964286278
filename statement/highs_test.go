package statement_test

import (
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"testing"
)

// highS returns the other of the two signatures, in base64.
func highS(t testing.TB, sig string) string {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(sig)
	if err != nil {
		t.Fatal(err)
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		t.Fatal(err)
	}
	rs.S.Sub(elliptic.P256().Params().N, rs.S)
	if der, err = asn1.Marshal(rs); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}
