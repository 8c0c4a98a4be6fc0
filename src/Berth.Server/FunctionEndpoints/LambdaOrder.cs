using Berth.Api.Functions;
using Berth.Core.Functions;
using Berth.Oci.Images;
using Berth.Server.Calls;

namespace Berth.Server.FunctionEndpoints;

/// <summary>The part of a function's request that is about the lambda contract, and how an image made for AWS Lambda is
/// known.</summary>
internal static class LambdaOrder
{
    private const string Raw = "raw";
    private const string Http = "http";
    private const string TaskRoot = "LAMBDA_TASK_ROOT";

    /// <summary>As long as AWS's own may be.</summary>
    private const int MaxHandler = 128;

    /// <summary>Of AWS's base images, and of programs that hold a client of the Runtime API.</summary>
    private static readonly string[] Entrances = ["lambda-entrypoint.sh", "aws-lambda-rie", "aws-lambda-ric"];

    /// <summary>Python's, which is run as a module.</summary>
    private const string PythonClient = "awslambdaric";

    /// <summary>Whether an image says that its program asks the Runtime API for its calls.</summary>
    public static bool IsMeantBy(ContainerDefaults? image) =>
        image is not null && (Variable(image, TaskRoot) is not null
            || (image.Entrypoint ?? []).Any(
                w => w == PythonClient || Entrances.Contains(w[(w.LastIndexOf('/') + 1)..])));

    public static LambdaSpec Read(FunctionRequest request, ContainerDefaults? image)
    {
        if (request.Handler is { } handler
            && (handler.Length is 0 or > MaxHandler || handler.Any(c => c is <= ' ' or >= '\u007f')))
        {
            throw new Asked("handler", handler).Refuse($"expected 1 to {MaxHandler} characters without blanks");
        }

        // What an entry point is given is the handler; without one it is the program itself.
        IReadOnlyList<string>? command = request.Arguments is { Count: > 0 } given ? given
            : request.Command is { Count: > 0 } ? null
            : image?.Entrypoint is { Count: > 0 } ? image.Cmd
            : null;
        return new LambdaSpec(
            request.Handler ?? (command is [{ } first, ..] ? first : ""),
            request.Event switch
            {
                null or Raw => LambdaEvents.Raw,
                Http => LambdaEvents.Http,
                _ => throw new Asked("event", request.Event).Refuse("expected raw or http"),
            },
            image is not null && Variable(image, TaskRoot) is not null ? null : LambdaSpec.DefaultTaskRoot);
    }

    /// <summary>Entry points take the handler's name as their argument.</summary>
    public static FunctionRequest WithHandler(FunctionRequest request, ContainerDefaults? image) =>
        request is { Handler: { } handler, Command: null or [], Arguments: null or [] }
            && image?.Entrypoint is { Count: > 0 }
            ? request with { Arguments = [handler] }
            : request;

    public static string NameOf(LambdaEvents events) => events == LambdaEvents.Http ? Http : Raw;

    private static string? Variable(ContainerDefaults image, string name) => image.Env?.FirstOrDefault(
        v => v.Length > name.Length && v[name.Length] == '=' && v.StartsWith(name, StringComparison.Ordinal));
}
