package proof

// The types below are the JSON mapping of sigstore/protobuf-specs v0.5.1, as
// far as it is used: 64-bit integers are strings, bytes are base64.

type sigstoreBundle struct {
	MediaType    string               `json:"mediaType"`
	Material     sigstoreMaterial     `json:"verificationMaterial"`
	DSSEEnvelope sigstoreDSSEEnvelope `json:"dsseEnvelope"`
}

type sigstoreMaterial struct {
	PublicKey   sigstoreHint    `json:"publicKey"`
	TlogEntries []sigstoreEntry `json:"tlogEntries"`
}

type sigstoreHint struct {
	Hint string `json:"hint"`
}

type sigstoreEntry struct {
	LogIndex          string              `json:"logIndex"`
	LogID             sigstoreLogID       `json:"logId"`
	KindVersion       sigstoreKindVersion `json:"kindVersion"`
	InclusionProof    sigstoreInclusion   `json:"inclusionProof"`
	CanonicalizedBody []byte              `json:"canonicalizedBody"`
}

type sigstoreLogID struct {
	KeyID []byte `json:"keyId"`
}

type sigstoreKindVersion struct {
	Kind    string `json:"kind"`
	Version string `json:"version"`
}

type sigstoreInclusion struct {
	LogIndex   string             `json:"logIndex"`
	RootHash   []byte             `json:"rootHash"`
	TreeSize   string             `json:"treeSize"`
	Hashes     [][]byte           `json:"hashes"`
	Checkpoint sigstoreCheckpoint `json:"checkpoint"`
}

type sigstoreCheckpoint struct {
	Envelope string `json:"envelope"`
}

type sigstoreDSSEEnvelope struct {
	Payload     []byte              `json:"payload"`
	PayloadType string              `json:"payloadType"`
	Signatures  []sigstoreSignature `json:"signatures"`
}

// sigstoreSignature has no keyid: the tools compare it with an SSH fingerprint
// of the key, and pass over a signature that names any other.
type sigstoreSignature struct {
	Sig []byte `json:"sig"`
}

type sigstoreTrustedRoot struct {
	MediaType string        `json:"mediaType"`
	Tlogs     []sigstoreLog `json:"tlogs"`
}

type sigstoreLog struct {
	BaseURL       string            `json:"baseUrl"`
	HashAlgorithm string            `json:"hashAlgorithm"`
	PublicKey     sigstorePublicKey `json:"publicKey"`
	LogID         sigstoreLogID     `json:"logId"`
}

type sigstorePublicKey struct {
	RawBytes   []byte           `json:"rawBytes"`
	KeyDetails string           `json:"keyDetails"`
	ValidFor   sigstoreValidity `json:"validFor"`
}

type sigstoreValidity struct {
	Start string `json:"start"`
}
