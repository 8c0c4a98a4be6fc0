using System.CommandLine;
using System.Globalization;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Commands.Containers;
using Berth.Commands.Rollouts;
using Berth.Commands.Runs;

namespace Berth.Commands.Functions;

/// <summary><c>berth function deploy</c>.</summary>
internal sealed class DeployCommand : Verb
{
    private readonly Argument<string> name = new("function")
    {
        Description = "Name of the function: small letters, digits and '-'",
    };

    private readonly RunSettings settings = new();
    private readonly Option<string?> timeout = Named(
        "--timeout", "TIME", "End a call after this time, waiting included, for instance 90s or 10m");

    private readonly Option<string?> outputLimit = Named(
        "--output-limit", "SIZE", "End a call when it has written more than this");

    private readonly Option<string?> contentType = Named("--content-type", "TYPE", "Media type of the answers");
    private readonly Option<string?> maxRunning = Named(
        "--max-running", "N",
        "Calls of the revision at once, tasks not counted; as many as the server has places if not given");

    private readonly Option<string?> maxWaiting = Named(
        "--max-waiting", "N", "Calls that may wait for one of those (default 1000); more are refused");

    private readonly Option<bool> passArguments = new("--pass-arguments")
    {
        Description = "Let calls bring arguments, which come after the function's own",
    };

    private readonly Option<string?> traffic = Named(
        "--traffic", "PERCENT", "Share of the calls that the new revision gets; all if not given");

    private readonly PlanOptions plan = new(
        "--canary", "Give the new revision the calls in these steps, for instance 5,25,50, and take them back where it "
            + "fails; see 'berth rollout'");

    private readonly Option<string?> tag = Named(
        "--tag", "TAG", "A name that reaches the new revision alone, as NAME@TAG");

    private readonly Option<string?> isolation = Named(
        "--isolation", "single-use|strict|reused",
        "A sandbox for each call within one container, a container for each, or a process for each in a sandbox that "
            + "serves many; single-use if not given");

    private readonly Option<string[]> secrets = new("--secret")
    {
        HelpName = "NAME[:/run/secrets/FILE|:env=VARIABLE]",
        Description = "A secret that the program gets, as a file in /run/secrets or as a variable; may be repeated",
    };

    private readonly Option<string?> cache = Named(
        "--cache", "TIME", "Answer equal calls with one result for this long, for instance 10m");

    private readonly Option<bool> singleFlight = new("--single-flight")
    {
        Description = "Let equal calls at once share one execution",
    };

    private readonly ServiceSettings service = new();
    private readonly PlacementOptions placement = new();
    private readonly MountOptions mounts = new();
    private readonly RetrySettings retry = new();
    private readonly TrafficSettings reach = new();

    public DeployCommand()
        : base(
            "deploy", "Make a function, or its next revision where something changes, and print the revision's number",
            new("berth function deploy thumbnail demo/thumbnail 400", "An image and its arguments"),
            new(
                "berth function deploy --memory 512Mi --timeout 30s --max-running 8 thumbnail demo/thumbnail",
                "With limits"),
            new(
                "berth function deploy --traffic 5 --tag next thumbnail demo/thumbnail:2",
                "5 of 100 calls go to the new revision, and all to thumbnail@next"),
            new(
                "berth function deploy --port 3000 --concurrency 20 --min-instances 1 shop demo/shop",
                "An image that serves HTTP"),
            new(
                "berth function deploy --canary 5,25,50 --interval 5m thumbnail demo/thumbnail:2",
                "More and more of the calls, as long as it is good"))
    {
        foreach (Option option in (Option[])[
            timeout, outputLimit, contentType, maxRunning, maxWaiting, passArguments, traffic, tag,
            isolation, secrets, cache, singleFlight])
        {
            Add(option);
        }

        service.AddTo(this);
        placement.AddTo(this);
        mounts.AddTo(this);
        retry.AddTo(this);
        reach.AddTo(this);
        plan.AddTo(this);
        Add(name);
        settings.AddTo(this, lasting: true);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        RunOptions run = mounts.Add(session, placement.Add(session, settings.Read(session)));
        FunctionRequest request = new(
            settings.Image(session), run.Command.Count == 0 ? null : run.Command,
            run.Arguments.Count == 0 ? null : run.Arguments, session.Get(passArguments), run.Environment,
            run.User, run.WorkingDirectory,
            ContainerSettings.Bytes(run.Memory), run.Cpus?.ToString(), run.Pids, ContainerSettings.Bytes(run.Disk),
            run.Network, session.Get(timeout), session.Get(outputLimit), session.Get(contentType),
            Labels: run.Labels, MaxRunning: Count(session, maxRunning), MaxWaiting: Count(session, maxWaiting),
            Traffic: Count(session, traffic), Tag: session.Get(tag), Runtime: run.Runtime,
            Rollout: plan.ReadWithSteps(session), Isolation: session.Get(isolation),
            Secrets: session.Get(secrets) is { Length: > 0 } used ? used : null, Cache: session.Get(cache),
            SingleFlight: session.Get(singleFlight),
            Constraints: run.Constraints.Count == 0 ? null : run.Constraints,
            Tolerations: run.Tolerations.Count == 0 ? null : run.Tolerations, Spread: run.Spread,
            Volumes: run.Volumes.Count == 0 ? null : run.Volumes,
            Tmpfs: run.TemporaryFolders.Count == 0 ? null : run.TemporaryFolders);
        request = reach.Add(session, retry.Add(session, service.Add(session, request)));
        string function = session.Get(name);
        FunctionDeployment made = await session.Client.Functions.DeployAsync(function, request, cancellationToken);
        session.Say(
            made.Changed
                ? $"Function {function}: {FunctionCommands.Shares(made.Function.Traffic)}."
                : $"Function {function} is so already: nothing was changed.");
        if (request.Rollout is not null && made.Function.Rollout is not null)
        {
            session.Say($"Watch it with: berth rollout status -w {function}");
        }

        await session.Terminal.Out.WriteLineAsync(made.Revision.ToString(CultureInfo.InvariantCulture));
        return 0;
    }

    private static int? Count(Session session, Option<string?> option) =>
        RunSettings.Parse(session, option, RunSettings.ParseCount);

    private static Option<string?> Named(string name, string value, string description) =>
        new(name) { HelpName = value, Description = description };
}
