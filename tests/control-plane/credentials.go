package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// credentials are the files that kube-apiserver starts from and the
// administrator's way in.
type credentials struct {
	servingCert, servingKey string
	serviceAccountKey       string
	tokenFile               string
	kubeconfig              string

	authority []byte
	token     string
}

// newCredentials makes a serving certificate, a key that signs the tokens of
// ServiceAccounts, an administrator's token and a kubeconfig that carries it.
func newCredentials(dir, server string) (*credentials, error) {
	made := &credentials{
		servingCert:       filepath.Join(dir, "serving.crt"),
		servingKey:        filepath.Join(dir, "serving.key"),
		serviceAccountKey: filepath.Join(dir, "service-account.key"),
		tokenFile:         filepath.Join(dir, "tokens.csv"),
		kubeconfig:        filepath.Join(dir, "kubeconfig"),
	}
	for _, step := range []func() error{
		made.writeServingCertificate,
		made.writeServiceAccountKey,
		made.writeToken,
		func() error { return made.writeKubeconfig(server) },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return made, nil
}

func (c *credentials) writeServingCertificate() error {
	certificate, key, err := cert.GenerateSelfSignedCertKey("localhost", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		return fmt.Errorf("make the serving certificate: %w", err)
	}
	// The file holds the leaf and the authority that signed it.
	c.authority = certificate
	if err := os.WriteFile(c.servingCert, certificate, 0o600); err != nil {
		return err
	}
	return os.WriteFile(c.servingKey, key, 0o600)
}

func (c *credentials) writeServiceAccountKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the key of ServiceAccount tokens: %w", err)
	}
	encoded, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return fmt.Errorf("encode the key of ServiceAccount tokens: %w", err)
	}
	return os.WriteFile(c.serviceAccountKey, encoded, 0o600)
}

func (c *credentials) writeToken() error {
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return fmt.Errorf("make the administrator's token: %w", err)
	}
	c.token = hex.EncodeToString(random)
	line := fmt.Sprintf("%s,administrator,administrator,\"system:masters\"\n", c.token)
	return os.WriteFile(c.tokenFile, []byte(line), 0o600)
}

func (c *credentials) writeKubeconfig(server string) error {
	const name = "local"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: c.authority}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: c.token}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, c.kubeconfig); err != nil {
		return fmt.Errorf("write the kubeconfig: %w", err)
	}
	return nil
}
