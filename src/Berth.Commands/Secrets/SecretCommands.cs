using System.CommandLine;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Berth.Api.Secrets;
using Berth.Commands.Output;
using Berth.Core.Errors;
using Berth.Core.Secrets;

namespace Berth.Commands.Secrets;

/// <summary><c>berth secret</c>: values that functions get and nobody sees again.</summary>
internal static class SecretCommands
{
    public static Noun All() => new(
        "secret", "Keep secrets for functions",
        [
            new("berth secret create db-password < password.txt", "Keep a value; it can't be shown again"),
            new("berth function deploy --secret db-password shop demo/shop", "As the file /run/secrets/db-password"),
        ],
        new SecretCreateCommand(), new SecretListCommand(), new SecretInspectCommand(), new SecretRemoveCommand());
}

internal sealed class SecretCreateCommand : Verb
{
    private readonly Argument<string> name = new("name")
    {
        Description = "Name of the secret: letters, digits, '-', '_' and '.'",
    };

    private readonly Option<string?> file = new("--file", "-f")
    {
        HelpName = "FILE",
        Description = "Read the value from a file; from standard input if not given",
    };

    private readonly Option<string?> variable = new("--from-env")
    {
        HelpName = "VARIABLE",
        Description = "Take the value of this variable of the command's own environment",
    };

    private readonly Option<bool> replace = new("--replace")
    {
        Description = "Give a secret that there is another value; programs get it at their next start",
    };

    public SecretCreateCommand()
        : base(
            "create", "Keep a secret; the value is taken byte for byte, a line's end with it",
            new("berth secret create db-password < password.txt", "From standard input"),
            new("berth secret create -f tls.key tls-key", "From a file"),
            new("berth secret create --replace --from-env DB_PASSWORD db-password", "Another value, from a variable"))
    {
        Add(name);
        Add(file);
        Add(variable);
        Add(replace);
        Validators.Add(result =>
        {
            if (result.GetResult(file) is not null && result.GetResult(variable) is not null)
            {
                result.AddError("--file and --from-env can't be used together: each says what the value is.");
            }
        });
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        string wanted = SecretName.Check(session.Get(name));
        byte[] value = await ReadAsync(session, cancellationToken);
        try
        {
            SecretView made = await session.Client.Secrets.PutAsync(
                wanted, value, session.Get(replace), cancellationToken);
            session.Say(string.Create(
                CultureInfo.InvariantCulture, $"Secret {made.Name} has version {made.Version}, {made.Bytes} bytes."));
            await session.Terminal.Out.WriteLineAsync(made.Name);
            return 0;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(value);
        }
    }

    private async Task<byte[]> ReadAsync(Session session, CancellationToken cancellationToken)
    {
        if (session.Get(variable) is { } given)
        {
            return session.Terminal.Variable(given) is { } text
                ? Encoding.UTF8.GetBytes(text)
                : throw new BerthException(
                    ErrorCode.InvalidRequest, $"There is no variable {given} in the environment: export it first.");
        }

        if (session.Get(file) is null && session.Terminal.InputIsTerminal)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                "What is typed at a terminal stays on the screen: give the value with --file, --from-env, or "
                + "< FILE.");
        }

        await using Stream input = Open(session);
        byte[] buffer = new byte[SecretUse.MaxBytes + 1];
        int length = await input.ReadAtLeastAsync(
            buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken);
        return length <= SecretUse.MaxBytes
            ? buffer[..length]
            : throw new BerthException(
                ErrorCode.BodyTooLarge,
                string.Create(
                    CultureInfo.InvariantCulture, $"A secret has at most {SecretUse.MaxBytes / 1024} KiB."));
    }

    private Stream Open(Session session)
    {
        if (session.Get(file) is not { } path)
        {
            return session.Terminal.OpenInput();
        }

        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new BerthException(ErrorCode.InvalidRequest, $"{path} can't be read: {error.Message}", error);
        }
    }
}

internal sealed class SecretListCommand : Verb
{
    private readonly OutputOption output = new();
    private readonly QuietOption quiet = new("Print names only");

    public SecretListCommand()
        : base(
            "ls", "List secrets, without their values",
            new("berth secret ls", "Which there are, and what uses them"),
            new("berth secret ls -o json", "For programs"))
    {
        Add(output);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        IReadOnlyList<SecretView> secrets = await session.Client.Secrets.ListAsync(cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, new SecretList(secrets), SecretJson.Default.SecretList);
            return 0;
        }

        DateTimeOffset now = session.Terminal.Time.GetUtcNow();
        Table table = new(
            new("SECRET"), new("VERSION", Right: true), new("BYTES", Right: true), new("UPDATED"), new("BY"),
            new("USED BY"));
        foreach (SecretView secret in secrets)
        {
            if (session.Get(quiet))
            {
                await session.Terminal.Out.WriteLineAsync(secret.Name);
            }

            table.Add(
                secret.Name, secret.Version.ToString(CultureInfo.InvariantCulture),
                secret.Bytes.ToString(CultureInfo.InvariantCulture), Wording.Age(secret.UpdatedAt, now), secret.Caller,
                string.Join(", ", secret.Users));
        }

        if (!session.Get(quiet))
        {
            table.Write(session.Terminal);
        }

        return 0;
    }
}

internal sealed class SecretInspectCommand : Verb
{
    private readonly Argument<string> name = new("secret") { Description = "Name of the secret" };

    public SecretInspectCommand()
        : base(
            "inspect", "Print what is known about a secret: all but its value",
            new Example("berth secret inspect db-password", "As JSON"))
        => Add(name);

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        SecretView view = await session.Client.Secrets.GetAsync(session.Get(name), cancellationToken);
        JsonOutput.Write(session.Terminal, view, SecretJson.Default.SecretView);
        return 0;
    }
}

internal sealed class SecretRemoveCommand : SeveralCommand
{
    private readonly Option<bool> force = new("--force", "-f")
    {
        Description = "Also those that are used; programs that need them do not start any more",
    };

    public SecretRemoveCommand()
        : base(
            new("secret") { Description = "Names of the secrets" },
            "rm", "Remove secrets that nothing uses",
            new Example("berth secret rm db-password", "One"))
        => Add(force);

    protected override async Task SeeToAsync(Session session, string name, CancellationToken cancellationToken)
    {
        await session.Client.Secrets.RemoveAsync(name, session.Get(force), cancellationToken);
        await session.Terminal.Out.WriteLineAsync(name);
    }
}
