//! `agon events`: events, topics and dead letters.

use std::process::ExitCode;

use access::Authorised;
use bus::{Bus, Created};
use prost_reflect::{DescriptorPool, DynamicMessage};
use proto::event::event_service_client::EventServiceClient;
use proto::event::{
    DiscardDeadLetterRequest, Event, ListDeadLettersRequest, ReplayDeadLettersRequest,
    SubscribeRequest,
};
use serde_json::{Value, json};

use crate::cli::arguments::{
    DlqCommand, DlqDiscard, DlqList, DlqReplay, EventsCommand, EventsTail, EventsTopics, Remote,
    Settings,
};
use crate::cli::commands::token;
use crate::cli::output::counted;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::server::topics;

pub async fn run(command: EventsCommand) -> Result<ExitCode, Failure> {
    match command {
        EventsCommand::Tail(arguments) => tail(arguments).await,
        EventsCommand::Topics(arguments) => list_topics(&arguments).await,
        EventsCommand::Dlq(DlqCommand::List(arguments)) => list(arguments).await,
        EventsCommand::Dlq(DlqCommand::Replay(arguments)) => replay(arguments).await,
        EventsCommand::Dlq(DlqCommand::Discard(arguments)) => discard(arguments).await,
    }
}

async fn tail(arguments: EventsTail) -> Result<ExitCode, Failure> {
    let EventsTail { remote, topics, key, from_start, settings } = arguments;
    let mut events = operator(&settings, &remote).await?;
    let printer = EventPrinter::new()?;
    let request = SubscribeRequest { topics, key, from_start, ..SubscribeRequest::default() };
    let mut stream = events.subscribe(request).await?.into_inner();
    while let Some(response) = stream.message().await? {
        if let Some(event) = response.event {
            print_line!("{}", printer.json(event));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list_topics(arguments: &EventsTopics) -> Result<ExitCode, Failure> {
    let config = config::load(&arguments.settings)?.value;
    config.check()?;
    if !arguments.apply {
        for topic in topics::produced().into_iter().flatten() {
            print_line!("{:28} {:10} key {}", topic.name, topic.producer, topic.key);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !config.events.is_kafka() {
        let text = "events.url is `embedded:`, which has no topics to create; set --events kafka://host:port";
        return Err(Failure::usage(text));
    }
    for topic in create_topics(&config).await? {
        print_line!("{:48} {}", topic.name, if topic.new { "created" } else { "exists" });
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn create_topics(config: &Config) -> Result<Vec<Created>, Failure> {
    let fail = |error: bus::Error| Failure::unavailable(format!("events: {error}"));
    let bus = Bus::kafka(config.events.clone(), &topics::produced());
    bus.map_err(fail)?.create_topics(&topics::consumed()).await.map_err(fail)
}

async fn list(arguments: DlqList) -> Result<ExitCode, Failure> {
    let DlqList { remote, consumer, settings } = arguments;
    let mut events = operator(&settings, &remote).await?;
    let printer = EventPrinter::new()?;
    let mut request =
        ListDeadLettersRequest { page_size: 200, consumer, ..ListDeadLettersRequest::default() };
    loop {
        let page = events.list_dead_letters(request.clone()).await?.into_inner();
        for letter in page.dead_letters {
            let event = letter.event.map(|event| printer.json(event));
            print_line!(
                "{}",
                json!({
                    "consumer": letter.consumer, "reason": letter.reason, "held": letter.held,
                    "blocksKey": letter.blocks_key, "attemptCount": letter.attempt_count,
                    "createTime": letter.create_time.unwrap_or_default().to_string(),
                    "partition": letter.partition, "offset": letter.offset,
                    "messageKey": letter.message_key, "event": event,
                })
            );
        }
        if page.next_page_token.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        request.page_token = page.next_page_token;
    }
}

async fn replay(arguments: DlqReplay) -> Result<ExitCode, Failure> {
    let DlqReplay { remote, consumer, key, settings } = arguments;
    let mut events = operator(&settings, &remote).await?;
    let request = ReplayDeadLettersRequest { consumer, key };
    let answer = events.replay_dead_letters(request).await?.into_inner();
    print_line!(
        "{} queued for redelivery; events that fail again stay in `agon events dlq list`",
        counted(answer.event_count, "event")
    );
    Ok(ExitCode::SUCCESS)
}

async fn discard(arguments: DlqDiscard) -> Result<ExitCode, Failure> {
    let DlqDiscard { remote, consumer, event_id, settings } = arguments;
    let mut events = operator(&settings, &remote).await?;
    let request = DiscardDeadLetterRequest { consumer, event_id };
    let answer = events.discard_dead_letter(request).await?.into_inner();
    let held = counted(answer.event_count, "held event");
    print_line!("discarded; {held} of its key queued for redelivery");
    Ok(ExitCode::SUCCESS)
}

async fn operator(
    settings: &Settings,
    remote: &Remote,
) -> Result<EventServiceClient<Authorised>, Failure> {
    let channel = token::authorised(settings, remote, "operator").await?;
    Ok(EventServiceClient::new(channel))
}

struct EventPrinter(DescriptorPool);

impl EventPrinter {
    fn new() -> Result<Self, Failure> {
        let pool = DescriptorPool::decode(proto::DESCRIPTOR_SET);
        pool.map(Self).map_err(|error| Failure::new(format!("descriptors: {error}")))
    }

    fn json(&self, event: Event) -> Value {
        let time = event.time.unwrap_or_default();
        let data = event.data.unwrap_or_default();
        // Events of a newer server may have an unknown type.
        let known = self.0.get_message_by_name(&event.r#type);
        let data = known.and_then(|kind| DynamicMessage::decode(kind, data.value.as_slice()).ok());
        json!({
            "time": time.to_string(), "topic": event.topic, "type": event.r#type,
            "key": event.key, "sequence": event.sequence, "eventId": event.event_id,
            "data": data.and_then(|data| serde_json::to_value(data).ok()),
        })
    }
}
