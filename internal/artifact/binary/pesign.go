package binary

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // old signatures
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"
	"fmt"
)

// peSecurity is where a PE file keeps its signature.
type peSecurity struct {
	entry    uint64 // offset of the directory entry
	checksum uint64 // offset of the checksum
	off, n   uint32
}

func (m *image) security() (s peSecurity, ok bool) {
	if m.pe.ndirs <= peDirSecurity {
		return s, false
	}
	s.entry, s.checksum = m.pe.dirs+peDirSecurity*8, m.pe.optional+peChecksum
	s.off, s.n = m.dir(peDirSecurity)
	end := uint64(s.off) + uint64(s.n)
	return s, s.n == 0 && s.off == 0 || end == uint64(len(m.file)) && s.off%8 == 0
}

// authenticode puts the shipped signature on the rebuilt file, in place of its own
// if it has one (Microsoft, "Windows Authenticode Portable Executable Signature
// Format"). The signature must be one, and must be about what it is put on.
func (p *prover) authenticode() {
	a, b := p.a, p.b
	sa, ok1 := a.security()
	sb, ok2 := b.security()
	if !ok1 || !ok2 || sa.entry != sb.entry || sa.n == 0 && sb.n == 0 {
		p.checksum(sa, sb, ok1 && ok2)
		return
	}
	table := a.file[len(a.file)-int(sa.n):]
	if bytes.Equal(a.file[sa.checksum:sa.checksum+4], b.file[sb.checksum:sb.checksum+4]) && sa == sb && bytes.HasSuffix(b.file, table) {
		return
	}
	detail := fmt.Sprintf("%d bytes, rebuilt %d", sa.n, sb.n)
	if sa.n == 0 {
		p.cause(CauseAuthenticod, "certificate table", false, detail+"; a signature is attached, never taken away")
		return
	}
	out := bytes.Clone(b.file[:len(b.file)-int(sb.n)])
	pad := int64(sa.off) - int64(len(out))
	if pad < 0 || pad > 7 {
		p.cause(CauseAuthenticod, "certificate table", false, detail+"; lies elsewhere")
		return
	}
	out = append(out, make([]byte, pad)...)
	out = append(out, table...)
	copy(out[sa.entry:sa.entry+8], a.file[sa.entry:sa.entry+8])
	setChecksum(out, a.file, sa.checksum)
	if err := checkCertificates(out, sa); err != nil {
		p.cause(CauseAuthenticod, "certificate table", false, detail+"; "+err.Error())
		return
	}
	detail += "; it signs this content (by whom is not judged)"
	covers := []extent{{int64(sa.entry), 8}, {int64(sa.checksum), 4}, {int64(sa.off), int64(sa.n)}}
	p.cause(CauseAuthenticod, "certificate table", p.replace(out), detail, covers...)
}

// checksum recomputes the checksum where nothing is signed.
func (p *prover) checksum(sa, sb peSecurity, ok bool) {
	at := p.a.pe.optional + peChecksum
	va, vb := view{b: p.a.file, o: p.a.order}, view{b: p.b.file, o: p.a.order}
	if !ok || at != p.b.pe.optional+peChecksum || va.u32(at) == vb.u32(at) || va.bad || vb.bad {
		return
	}
	out := bytes.Clone(p.b.file)
	setChecksum(out, p.a.file, at)
	if va.u32(at) == p.a.order.Uint32(out[at:]) {
		p.cause(CauseTimestamp, "checksum", p.replace(out), "follows from the content", extent{int64(at), 4})
	}
}

// setChecksum sets the checksum to the right one, or to none where the shipped
// file has none. Another value is never taken over.
func setChecksum(out, shipped []byte, at uint64) {
	clear(out[at : at+4])
	if zeros(shipped[at : at+4]) {
		return
	}
	sum := uint64(0)
	for i := 0; i < len(out); i += 2 {
		w := uint64(out[i])
		if i+1 < len(out) {
			w |= uint64(out[i+1]) << 8
		}
		sum += w
		sum = sum&0xffff + sum>>16
	}
	n := uint32(sum) + uint32(len(out))
	out[at], out[at+1], out[at+2], out[at+3] = byte(n), byte(n>>8), byte(n>>16), byte(n>>24)
}

// checkCertificates checks that a certificate table consists of signatures in
// their usual form, each over the digest of this very file, and of nothing else.
func checkCertificates(file []byte, s peSecurity) error {
	for table := file[s.off:]; len(table) > 0; {
		v := &view{b: table, o: leOrder}
		n, revision, typ := uint64(v.u32(0)), v.u16(4), v.u16(6)
		body := v.bytes(8, n-min(n, 8))
		next := (n + 7) &^ 7
		if v.bad || n <= 8 || revision != 0x200 || typ != 2 || next > uint64(len(table)) || !zeros(table[n:next]) {
			return fmt.Errorf("not a table of PKCS #7 signatures")
		}
		algorithm, want, err := spcDigest(body)
		if err != nil {
			return err
		}
		h := algorithm.New()
		h.Write(file[:s.checksum])
		h.Write(file[s.checksum+4 : s.entry])
		h.Write(file[s.entry+8 : s.off])
		if !bytes.Equal(h.Sum(nil), want) {
			return fmt.Errorf("the signature is not about this content")
		}
		table = table[next:]
	}
	return nil
}

var digestOIDs = map[string]crypto.Hash{
	"1.3.14.3.2.26": crypto.SHA1, "2.16.840.1.101.3.4.2.1": crypto.SHA256,
	"2.16.840.1.101.3.4.2.2": crypto.SHA384, "2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

// spcDigest reads the digest that a signature is about: PKCS #7 SignedData
// (RFC 2315, section 9.1) over an SpcIndirectDataContent.
func spcDigest(der []byte) (crypto.Hash, []byte, error) {
	bad := func() (crypto.Hash, []byte, error) {
		return 0, nil, fmt.Errorf("not a PKCS #7 signature over a program")
	}
	var outer struct {
		Type    asn1.ObjectIdentifier
		Content struct {
			Version    int
			Algorithms asn1.RawValue
			Info       struct {
				Type    asn1.ObjectIdentifier
				Content struct {
					Data   asn1.RawValue
					Digest struct {
						Algorithm struct {
							ID     asn1.ObjectIdentifier
							Params asn1.RawValue `asn1:"optional"`
						}
						Value []byte
					}
				} `asn1:"explicit,tag:0"`
			}
			Certificates asn1.RawValue `asn1:"optional,tag:0"`
			CRLs         asn1.RawValue `asn1:"optional,tag:1"`
			Signers      asn1.RawValue `asn1:"set"`
		} `asn1:"explicit,tag:0"`
	}
	rest, err := asn1.Unmarshal(der, &outer)
	if err != nil || len(rest) > 7 || !zeros(rest) ||
		outer.Type.String() != "1.2.840.113549.1.7.2" || outer.Content.Info.Type.String() != "1.3.6.1.4.1.311.2.1.4" {
		return bad()
	}
	d := outer.Content.Info.Content.Digest
	algorithm, ok := digestOIDs[d.Algorithm.ID.String()]
	if !ok || len(d.Value) != algorithm.Size() {
		return bad()
	}
	return algorithm, d.Value, nil
}
