//! The id of a topic, which a recreated topic does not share. The safe client has no call for it (DescribeTopics, KIP-430 and KIP-516),
//! so librdkafka is asked here; nothing unsafe leaves this file.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::client::{Client, ClientContext};

/// An object of librdkafka that is destroyed when it leaves its scope, however that happens.
struct Owned<T> {
    pointer: *mut T,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// Takes the object over; nothing when librdkafka gave none.
    fn new(pointer: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        (!pointer.is_null()).then_some(Self { pointer, destroy })
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer is not null, was made for this owner alone, and is not used after this.
        unsafe { (self.destroy)(self.pointer) }
    }
}

/// Asks the cluster for a topic's id, in the spelling of Kafka's own tools (URL-safe base64).
///
/// # Errors
/// What the cluster or the client says, or that no answer came in time.
pub(super) fn topic_id<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<String, String> {
    let name = CString::new(topic).map_err(|error| error.to_string())?;
    let mut names: [*const c_char; 1] = [name.as_ptr()];
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let handle = client.native_ptr();
    let out_of_memory = || "librdkafka is out of memory".to_owned();
    // SAFETY: `handle` lives as long as `client`, which outlives this call; `names` and the string behind it live until the request has
    // been handed over, which copies them. The objects are destroyed in the reverse order of their making, the event before its queue.
    unsafe {
        let options = sys::rd_kafka_AdminOptions_new(
            handle,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        let options =
            Owned::new(options, sys::rd_kafka_AdminOptions_destroy).ok_or_else(out_of_memory)?;
        let mut refused = [0 as c_char; 256];
        let set = sys::rd_kafka_AdminOptions_set_request_timeout(
            options.pointer,
            timeout_ms,
            refused.as_mut_ptr(),
            refused.len(),
        );
        if set != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(text(refused.as_ptr()));
        }
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let topics =
            Owned::new(topics, sys::rd_kafka_TopicCollection_destroy).ok_or_else(out_of_memory)?;
        let queue = Owned::new(sys::rd_kafka_queue_new(handle), sys::rd_kafka_queue_destroy)
            .ok_or_else(out_of_memory)?;
        sys::rd_kafka_DescribeTopics(handle, topics.pointer, options.pointer, queue.pointer);
        // The request itself ends in time and then answers with an error; the wait is a little longer, so that its words are heard.
        let event = sys::rd_kafka_queue_poll(queue.pointer, timeout_ms.saturating_add(1000));
        let event = Owned::new(event, sys::rd_kafka_event_destroy).ok_or("no answer in time")?;
        if sys::rd_kafka_event_error(event.pointer)
            != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            return Err(text(sys::rd_kafka_event_error_string(event.pointer)));
        }
        read_answer(event.pointer)
    }
}

/// Takes the id out of an answer about one topic.
///
/// # Safety
/// `event` is a live event without an error.
unsafe fn read_answer(event: *mut sys::rd_kafka_event_t) -> Result<String, String> {
    // SAFETY: everything read belongs to the event, which the caller keeps; each pointer is compared with null before it is used.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err("the answer is not about topics".to_owned());
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, ptr::from_mut(&mut count));
        if topics.is_null() || count != 1 {
            return Err(format!("the answer is about {count} topics"));
        }
        let topic = *topics;
        let error = sys::rd_kafka_TopicDescription_error(topic);
        if !error.is_null()
            && sys::rd_kafka_error_code(error)
                != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            return Err(text(sys::rd_kafka_error_string(error)));
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return Err("the answer has no id".to_owned());
        }
        Ok(text(sys::rd_kafka_Uuid_base64str(id))
            .replace('+', "-")
            .replace('/', "_"))
    }
}

/// Copies a C string.
///
/// # Safety
/// `pointer` is null or a string that ends with a zero byte.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return "no reason given".to_owned();
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { CStr::from_ptr(pointer) }
        .to_string_lossy()
        .into_owned()
}
