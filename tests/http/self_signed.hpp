#pragma once

/// A certificate for 127.0.0.1 made on the spot, with its key, as PEM files in a directory that
/// goes with it.

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

namespace hearth::test {

class self_signed {
  public:
    self_signed() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "hearth-tls-XXXXXX").string();
        directory_ = ::mkdtemp(pattern.data());
        certificate = (directory_ / "certificate.pem").string();
        key = (directory_ / "key.pem").string();
        const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> pair(EVP_EC_gen("P-256"),
                                                                       EVP_PKEY_free);
        const std::unique_ptr<X509, decltype(&X509_free)> made(X509_new(), X509_free);
        X509_set_version(made.get(), X509_VERSION_3);
        ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
        X509_gmtime_adj(X509_getm_notBefore(made.get()), -3600);
        X509_gmtime_adj(X509_getm_notAfter(made.get()), 24L * 3600);
        X509_NAME* name = X509_get_subject_name(made.get());
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>("hearth"), -1, -1, 0);
        X509_set_issuer_name(made.get(), name);
        X509_set_pubkey(made.get(), pair.get());
        X509_EXTENSION* also =
            X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1");
        X509_add_ext(made.get(), also, -1);
        X509_EXTENSION_free(also);
        X509_sign(made.get(), pair.get(), EVP_sha256());
        write(certificate, [&](BIO* out) { PEM_write_bio_X509(out, made.get()); });
        write(key, [&](BIO* out) {
            PEM_write_bio_PrivateKey(out, pair.get(), nullptr, nullptr, 0, nullptr, nullptr);
        });
        encrypted_key = (directory_ / "encrypted.pem").string();
        write(encrypted_key, [&](BIO* out) {
            PEM_write_bio_PKCS8PrivateKey(out, pair.get(), EVP_aes_128_cbc(), "secret", 6, nullptr,
                                          nullptr);
        });
    }
    ~self_signed() { std::filesystem::remove_all(directory_); }
    self_signed(const self_signed&) = delete;
    self_signed& operator=(const self_signed&) = delete;

    std::string certificate, key, encrypted_key;

    /// A file beside them.
    std::string file(const std::string& name, std::string_view content) const {
        const auto path = directory_ / name;
        std::ofstream(path, std::ios::binary) << content;
        return path.string();
    }

  private:
    template <class Print>
    static void write(const std::string& file, Print print) {
        const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new_file(file.c_str(), "w"),
                                                            BIO_free);
        print(out.get());
    }
    std::filesystem::path directory_;
};

}  // namespace hearth::test
