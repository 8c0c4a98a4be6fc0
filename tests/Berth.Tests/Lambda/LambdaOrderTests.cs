using Berth.Api.Functions;
using Berth.Core.Functions;
using Berth.Oci.Images;
using Berth.Server.FunctionEndpoints;
using Xunit;

namespace Berth.Tests.Lambda;

/// <summary>How an image made for AWS Lambda is known, and what of it reaches the program.</summary>
public sealed class LambdaOrderTests
{
    [Theory]
    [InlineData("/lambda-entrypoint.sh", null, null, true)]
    [InlineData("/usr/local/bin/python -m awslambdaric", null, null, true)]
    [InlineData("/usr/local/bin/npx aws-lambda-ric", null, null, true)]
    [InlineData("/main", "LAMBDA_TASK_ROOT=/var/task", null, true)]
    [InlineData("/main", null, "lambda", true)]
    [InlineData("/main", "LAMBDA_TASK_ROOTS=/var/task", null, false)]
    [InlineData("/lambda-entrypoint.sh", null, "stdio", false)]
    [InlineData("/main", null, "soap", false)]
    [InlineData("/main", null, null, false)]
    public void An_image_tells_its_contract(string entrypoint, string? variable, string? label, bool expected)
    {
        ContainerDefaults image = new(
            Env: variable is null ? null : ["PATH=/bin", variable], Entrypoint: entrypoint.Split(' '),
            Labels: label is null ? null : new Dictionary<string, string> { ["berth.contract"] = label });

        Assert.Equal(expected, ServiceOrder.Read(new FunctionRequest("demo/fn"), image)?.Lambda is not null);
    }

    [Fact]
    public void What_is_stated_counts_more_than_the_image()
    {
        ContainerDefaults image = new(Entrypoint: ["/lambda-entrypoint.sh"]);

        Assert.Null(ServiceOrder.Read(new FunctionRequest("demo/fn", Contract: "stdio"), image));
        Assert.Null(ServiceOrder.Read(new FunctionRequest("demo/fn", Contract: "http"), image)!.Lambda);
    }

    [Fact]
    public void The_handler_is_the_images_command_or_what_replaces_it()
    {
        ContainerDefaults image = new(
            Env: ["LAMBDA_TASK_ROOT=/code"], Entrypoint: ["/lambda-entrypoint.sh"], Cmd: ["app.handler"]);
        FunctionRequest plain = new("demo/fn");

        Assert.Equal(new LambdaSpec("app.handler", LambdaEvents.Raw, null), LambdaOrder.Read(plain, image));
        Assert.Equal("other.go", LambdaOrder.Read(plain with { Arguments = ["other.go"] }, image).Handler);
        Assert.Equal("mine.go", LambdaOrder.Read(plain with { Handler = "mine.go" }, image).Handler);
        Assert.Equal(["mine.go"], LambdaOrder.WithHandler(plain with { Handler = "mine.go" }, image).Arguments);
        // Without an entry point the command is the program itself.
        ContainerDefaults bare = new(Cmd: ["/main"]);
        Assert.Equal(new LambdaSpec("", LambdaEvents.Raw, "/var/task"), LambdaOrder.Read(plain, bare));
        Assert.Null(LambdaOrder.WithHandler(plain with { Handler = "mine.go" }, bare).Arguments);
    }

    [Fact]
    public void An_instance_gets_one_call_after_the_other()
    {
        ServiceSpec service = ServiceOrder.Read(new FunctionRequest("demo/fn", Contract: "lambda"), null)!;

        Assert.Equal((1, 9001), (service.Concurrency, service.Port));
    }
}
