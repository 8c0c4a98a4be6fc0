using System.CommandLine;
using Berth.Api.Images;
using Berth.Commands.Terminals;
using Berth.Core.Errors;
using Berth.Core.Images;

namespace Berth.Commands.Images;

/// <summary>How to log in to the other registry of a copy. The password comes by standard input or the environment,
/// never as an argument, which every user of the machine could see.</summary>
internal sealed class RegistryAccess
{
    private const string PasswordVariable = "BERTH_REGISTRY_PASSWORD";

    private readonly Option<string?> username = new("--username", "-u")
    {
        HelpName = "NAME",
        Description = "User name at the other registry",
    };

    private readonly Option<bool> passwordStdin = new("--password-stdin")
    {
        Description = $"Read the password from standard input (else from {PasswordVariable})",
    };

    private readonly Option<bool> insecure = new("--insecure")
    {
        Description = "Speak plain HTTP to the other registry",
    };

    public void AddTo(Command command)
    {
        passwordStdin.Validators.Add(result =>
        {
            if (!result.Implicit && result.GetResult(username) is null)
            {
                result.AddError("--password-stdin needs --username: a password alone logs in nobody.");
            }
        });
        command.Add(username);
        command.Add(passwordStdin);
        command.Add(insecure);
    }

    public async Task<CopyRequest> RequestAsync(
        Session session, string source, string target, CancellationToken cancellationToken)
    {
        string? name = session.Get(username);
        string? password = session.Terminal.Variable(PasswordVariable);
        if (session.Get(passwordStdin))
        {
            using StreamReader reader = new(session.Terminal.OpenInput());
            password = (await reader.ReadToEndAsync(cancellationToken)).TrimEnd('\r', '\n');
        }

        return name is not null && string.IsNullOrEmpty(password)
            ? throw new BerthException(
                ErrorCode.InvalidRequest,
                $"--username needs a password: give it by --password-stdin or in {PasswordVariable}.")
            : new CopyRequest(source, target, name, name is null ? null : password, session.Get(insecure));
    }

    /// <summary>Shows a copy as it goes on; returns the digest of what was copied.</summary>
    public static async Task<string> FollowAsync(
        Session session, IAsyncEnumerable<CopyProgress> copy, bool quiet, CancellationToken cancellationToken)
    {
        using ProgressLine line = new(session.Terminal, quiet);
        Dictionary<string, (long Done, long Total)> layers = [];
        string digest = "";
        await foreach (CopyProgress progress in copy.WithCancellation(cancellationToken))
        {
            digest = progress.Digest ?? digest;
            if (progress.Layer is not null)
            {
                layers[progress.Layer] = (progress.Done ?? 0, progress.Total ?? progress.Done ?? 0);
            }

            line.Show(
                progress.Status, layers.Values.Sum(l => l.Done),
                layers.Count == 0 ? null : layers.Values.Sum(l => l.Total));
        }

        return digest;
    }
}

internal sealed class PullCommand : Verb
{
    private readonly Argument<string> source = new("source")
    {
        Description = "Image at another registry, for instance docker.io/library/busybox:1.36",
    };

    private readonly Argument<string?> target = new("target")
    {
        Description = "Name to give it here; its own repository and tag if left out",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private readonly RegistryAccess access = new();
    private readonly QuietOption quiet = new("Print the digest only, no progress");

    public PullCommand()
        : base(
            "pull", "Have the server fetch an image from another registry",
            new(
                "berth image pull docker.io/library/busybox:1.36 demo/busybox",
                "From Docker Hub, under a name of our own"),
            new(
                "berth image pull --username ci --password-stdin registry.example.org/team/app:2 < password",
                "With a login"))
    {
        Add(source);
        Add(target);
        access.AddTo(this);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        ImageReference from = ImageReference.Parse(session.Get(source));
        if (from.RegistryHost is null)
        {
            throw new BerthException(
                ErrorCode.InvalidReference,
                $"'{from}' names no registry: write it with its host, for instance docker.io/library/{from}.");
        }

        string to = session.Result.GetValue(target) ?? $"{from.Repository}:{from.TagToGive}";
        CopyRequest request = await access.RequestAsync(session, from.ToString(), to, cancellationToken);
        string digest = await RegistryAccess.FollowAsync(
            session, session.Client.Images.PullAsync(request, cancellationToken), session.Get(quiet),
            cancellationToken);
        await session.Terminal.Out.WriteLineAsync(session.Get(quiet) ? digest : $"{to} {digest}");
        return 0;
    }
}

internal sealed class PushCommand : Verb
{
    private readonly Argument<string> source = new("source") { Description = "Image in Berth's registry" };
    private readonly Argument<string> target = new("target")
    {
        Description = "Where to put it, for instance registry.example.org/team/app:2",
    };

    private readonly RegistryAccess access = new();
    private readonly QuietOption quiet = new("Print the digest only, no progress");

    public PushCommand()
        : base(
            "push", "Have the server send an image to another registry",
            new("berth image push demo/app registry.example.org/team/app:2", "To another registry"),
            new("berth image push --insecure demo/app localhost:5000/app", "To one that speaks plain HTTP"))
    {
        Add(source);
        Add(target);
        access.AddTo(this);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        string to = session.Get(target);
        if (ImageReference.Parse(to).RegistryHost is null)
        {
            throw new BerthException(
                ErrorCode.InvalidReference,
                $"'{to}' names no registry: write it with its host, for instance registry.example.org/{to}.");
        }

        CopyRequest request = await access.RequestAsync(session, session.Get(source), to, cancellationToken);
        string digest = await RegistryAccess.FollowAsync(
            session, session.Client.Images.PushAsync(request, cancellationToken), session.Get(quiet),
            cancellationToken);
        await session.Terminal.Out.WriteLineAsync(session.Get(quiet) ? digest : $"{to} {digest}");
        return 0;
    }
}
