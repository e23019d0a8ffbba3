#pragma once

/// The writing end of a response_reader: the environment's that makes the response.

#include <hearth/response_stream.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace hearth {

class response_writer {
  public:
    /// Who writes, and stops while the stream is full.
    class listener {
      public:
        /// There is room again. From the reader's thread.
        virtual void room() noexcept = 0;

      protected:
        ~listener() = default;
    };

    explicit response_writer(std::shared_ptr<response_reader::pipe> pipe) noexcept;
    ~response_writer();
    response_writer(const response_writer&) = delete;
    response_writer& operator=(const response_writer&) = delete;

    /// Before the first write.
    void set_content_type(std::string_view type);
    void set_executed_version(std::string_view version);
    /// Any amount is taken; who is full should wait.
    void write(std::string bytes);
    [[nodiscard]] bool full() const noexcept;
    /// Null: nobody. The former one is not called any more when this returns.
    void set_listener(listener* l) noexcept;

  private:
    std::shared_ptr<response_reader::pipe> pipe_;
};

}  // namespace hearth
